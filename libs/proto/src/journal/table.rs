//! Tables of fields: how a value stands for a message, said once for both directions.
//!
//! A field that is forgotten on either side does not compile, and neither does a variant of an enum or a member of a
//! oneof. What does not correspond field by field implements [`Part`](super::Part) by hand.

/// A value and its message. First come fields of one name, then those whose names differ, then an order's kind, which
/// takes three fields of the message:
///
/// ```text
/// message! { BookReplace = BookReplace { old, new } }
/// message! { MarketUpdate = MarketUpdate { instrument, number, change; at as at_us } }
/// message! { BookOrder = BookOrder { order, side } where kind in (r#type, limit_ticks, stop_ticks) }
/// ```
///
/// A value that is no plain struct gives its shape and type. A type of a stage's own names the codec that writes it:
///
/// ```text
/// message! { (slot, LastIds { account, order }): (Slot, LastIds) = AccountIds { slot, account, order } by AccountCodec }
/// ```
///
/// Messages are those of the module `v1` where the table stands.
#[macro_export]
macro_rules! message {
    ($value:ident = $message:ident {
        $($field:ident),* $(; $($own:ident as $wire:ident),+)?
    } $(where $kind:ident in $kind_fields:tt)? $(by $codec:ident)?) => {
        $crate::message! {
            { $value { $($field,)* $($($own,)+)? $($kind)? } }: $value = $message {
                $($field),* $(; $($own as $wire),+)?
            } $(where $kind in $kind_fields)? $(by $codec)?
        }
    };
    ({ $($shape:tt)+ }: $value:ty = $message:ident {
        $($field:ident),* $(; $($own:ident as $wire:ident),+)?
    } $(where $kind:ident in ($type:ident, $limit:ident, $stop:ident))? $(by $codec:ident)?) => {
        impl $crate::journal::Part $(<$codec>)? for $value {
            type Wire = v1::$message;

            fn to_wire(&self) -> Self::Wire {
                use $crate::journal::part::write;
                let $($shape)+ = self;
                $(let ($type, $limit, $stop) = $crate::journal::value::kind_parts(*$kind);)?
                v1::$message {
                    $($field: write($field),)*
                    $($($wire: write($own),)+)?
                    $($type, $limit, $stop,)?
                }
            }

            fn from_wire(
                wire: Self::Wire,
                _name: &'static str,
            ) -> Result<Self, $crate::journal::Error> {
                use $crate::journal::part::read;
                $(let $field = read(wire.$field, $crate::name!($message.$field))?;)*
                $($(let $own = read(wire.$wire, $crate::name!($message.$wire))?;)+)?
                $(let $kind = $crate::journal::value::kind(
                    $crate::name!($message.type),
                    wire.$type,
                    wire.$limit,
                    wire.$stop,
                )?;)?
                Ok($($shape)+)
            }
        }
    };
}

/// An enum and its oneof, variant by variant. The first form is for a message that has nothing else, the second for the
/// oneof alone, the third for functions where some fields stand elsewhere in the message:
///
/// ```text
/// oneof! { End = End { end: end::End { Filled = Filled, Canceled(reason) = Canceled } } }
/// oneof! { Action = Command.action: command::Action { CancelAll { account } = CancelAllOfAccount } }
/// oneof! {
///     fn to_oneof(), from_oneof(envelope: Envelope)
///     Event = AccountEvent.event: account_event::Event { Withdrawn { account, asset | cause } = Withdrawn(Movement) }
///     else { … more arms that write … } { … more arms that read … }
/// }
/// ```
///
/// A variant's fields are those of the message in parentheses after its member, with names as in [`message!`]; without
/// such a message its only field is the member itself, and without fields the member is empty. `where halted: true`
/// tells apart members that stand for one variant. A field after `|` is read by the function of its name of what is
/// given to the third form.
#[macro_export]
macro_rules! oneof {
    ($value:ident = $message:ident {
        $field:ident: $module:ident::$oneof:ident { $($arms:tt)* }
    } $(by $codec:ident)?) => {
        impl $crate::journal::Part $(<$codec>)? for $value {
            type Wire = v1::$message;

            fn to_wire(&self) -> Self::Wire {
                use v1::$module::$oneof as Oneof;
                let oneof = $crate::oneof!(@write self, $value, Oneof { $($arms)* } {});
                v1::$message { $field: Some(oneof) }
            }

            fn from_wire(
                wire: Self::Wire,
                _name: &'static str,
            ) -> Result<Self, $crate::journal::Error> {
                use v1::$module::$oneof as Oneof;
                let oneof = $crate::journal::part::present(
                    $crate::name!($message.$field),
                    wire.$field,
                )?;
                Ok($crate::oneof!(@read oneof, (), $value, $message, Oneof { $($arms)* } {}))
            }
        }
    };
    ($value:ident = $message:ident.$field:ident: $module:ident::$oneof:ident {
        $($arms:tt)*
    } $(by $codec:ident)?) => {
        impl $crate::journal::Part $(<$codec>)? for $value {
            type Wire = v1::$module::$oneof;

            fn to_wire(&self) -> Self::Wire {
                use v1::$module::$oneof as Oneof;
                $crate::oneof!(@write self, $value, Oneof { $($arms)* } {})
            }

            fn from_wire(
                wire: Self::Wire,
                _name: &'static str,
            ) -> Result<Self, $crate::journal::Error> {
                use v1::$module::$oneof as Oneof;
                Ok($crate::oneof!(@read wire, (), $value, $message, Oneof { $($arms)* } {}))
            }
        }
    };
    (fn $write:ident(), $read:ident($given:ident: $given_type:ty)
        $value:ident = $message:ident.$field:ident: $module:ident::$oneof:ident { $($arms:tt)* }
        $(else { $($written:tt)* } { $($read_too:tt)* })?
    ) => {
        fn $write(value: &$value) -> v1::$module::$oneof {
            use v1::$module::$oneof as Oneof;
            $crate::oneof!(@write value, $value, Oneof { $($arms)* } { $($($written)*)? })
        }

        fn $read(
            wire: v1::$module::$oneof,
            $given: $given_type,
        ) -> Result<$value, $crate::journal::Error> {
            use v1::$module::$oneof as Oneof;
            Ok($crate::oneof! {
                @read wire, $given, $value, $message, Oneof { $($arms)* } { $($($read_too)*)? }
            })
        }
    };

    // The two matches.
    (@write $from:expr, $value:ident, $oneof:ident {
        $($variant:ident $(($inner:ident))? $({ $($fields:tt)* })?
            = $member:ident $(($message:ident))?),* $(,)?
    } { $($more:tt)* }) => {
        match $from {
            $($crate::oneof!(@pattern $value $variant $(($inner))? $({ $($fields)* })?) => {
                $oneof::$member(
                    $crate::oneof!(@payload ($($message)?) $(($inner))? $({ $($fields)* })?)
                )
            })*
            $($more)*
        }
    };
    (@read $from:expr, $given:expr, $value:ident, $outer:ident, $oneof:ident {
        $($variant:ident $(($inner:ident))? $({ $($fields:tt)* })?
            = $member:ident $(($message:ident))?),* $(,)?
    } { $($more:tt)* }) => {
        match $from {
            $($oneof::$member(wire) => $crate::oneof! {
                @value wire, $given, $crate::name!($outer.$member), ($($message)?)
                $value $variant $(($inner))? $({ $($fields)* })?
            },)*
            $($more)*
        }
    };

    // A variant as a pattern.
    (@pattern $value:ident $variant:ident) => {
        $value::$variant
    };
    (@pattern $value:ident $variant:ident ($inner:ident)) => {
        $value::$variant($inner)
    };
    (@pattern $value:ident $variant:ident {
        $($field:ident),* $(; $($own:ident as $wire:ident),+)?
        $(where $fixed:ident: $literal:literal)? $(| $given:ident)?
    }) => {
        $value::$variant { $($field,)* $($($own,)+)? $($fixed: $literal,)? $($given: _)? }
    };

    // What its member has.
    (@payload ()) => {
        ()
    };
    (@payload () { | $given:ident }) => {
        ()
    };
    (@payload () ($inner:ident)) => {
        $crate::journal::Part::to_wire($inner)
    };
    (@payload () { $field:ident $($rest:tt)* }) => {
        $crate::journal::Part::to_wire($field)
    };
    (@payload ($message:ident) ($inner:ident)) => {
        v1::$message { $inner: $crate::journal::part::write($inner) }
    };
    (@payload ($message:ident) {
        $($field:ident),* $(; $($own:ident as $wire:ident),+)? $(| $given:ident)?
    }) => {
        v1::$message {
            $($field: $crate::journal::part::write($field),)*
            $($($wire: $crate::journal::part::write($own),)+)?
        }
    };

    // The variant that a member stands for.
    (@value $wire:ident, $given:expr, $name:expr, () $value:ident $variant:ident) => {{
        let () = $wire;
        $value::$variant
    }};
    (@value $wire:ident, $given:expr, $name:expr, () $value:ident $variant:ident {
        | $field:ident
    }) => {{
        let () = $wire;
        $value::$variant { $field: $given.$field()? }
    }};
    (@value $wire:ident, $given:expr, $name:expr, () $value:ident $variant:ident ($inner:ident)) => {
        $value::$variant($crate::journal::Part::from_wire($wire, $name)?)
    };
    (@value $wire:ident, $given:expr, $name:expr, () $value:ident $variant:ident {
        $field:ident $(where $fixed:ident: $literal:literal)? $(| $other:ident)?
    }) => {
        $value::$variant {
            $field: $crate::journal::Part::from_wire($wire, $name)?,
            $($fixed: $literal,)?
            $($other: $given.$other()?,)?
        }
    };
    (@value $wire:ident, $given:expr, $name:expr, ($message:ident)
        $value:ident $variant:ident ($inner:ident)
    ) => {
        $value::$variant(
            $crate::journal::part::read($wire.$inner, $crate::name!($message.$inner))?
        )
    };
    (@value $wire:ident, $given:expr, $name:expr, ($message:ident)
        $value:ident $variant:ident {
            $($field:ident),* $(; $($own:ident as $other:ident),+)? $(| $elsewhere:ident)?
        }
    ) => {
        $value::$variant {
            $($field: $crate::journal::part::read(
                $wire.$field,
                $crate::name!($message.$field),
            )?,)*
            $($($own: $crate::journal::part::read(
                $wire.$other,
                $crate::name!($message.$other),
            )?,)+)?
            $($elsewhere: $given.$elsewhere()?)?
        }
    };
}

/// A field as errors name it.
#[doc(hidden)]
#[macro_export]
macro_rules! name {
    ($message:ident.$field:ident) => {
        concat!(stringify!($message), ".", stringify!($field))
    };
}
