//! Tables of fields: how a value corresponds to its message on the log, written once and used in both directions.
//!
//! [`message!`] is for structs, [`oneof!`] for enums. Each makes an implementation of [`Part`](super::Part) that names every
//! field: one that is forgotten on either side does not compile, and neither does a variant of an enum or a member of a
//! oneof. Types that do not correspond field by field implement `Part` by hand.

/// A struct and its message, field by field:
///
/// ```text
/// message! { MarketUpdate = MarketUpdate { instrument, number, change; at as at_us } }
/// ```
///
/// The left name is the value's type, the right one the message's in the module `v1` at the call. Fields before the
/// semicolon have the same name on both sides; `at as at_us` maps the value's field `at` to the message's field `at_us`. The
/// line above is short for
///
/// ```text
/// impl Part for MarketUpdate {
///     type Wire = v1::MarketUpdate;
///
///     fn to_wire(&self) -> v1::MarketUpdate {
///         let MarketUpdate { instrument, number, change, at } = self;
///         v1::MarketUpdate {
///             instrument: write(instrument),
///             number: write(number),
///             change: write(change),
///             at_us: write(at),
///         }
///     }
///
///     fn from_wire(wire: v1::MarketUpdate, _: &'static str) -> Result<MarketUpdate, Error> {
///         let instrument = read(wire.instrument, "MarketUpdate.instrument")?;
///         // … and so on for `number`, `change` and `at` …
///         Ok(MarketUpdate { instrument, number, change, at })
///     }
/// }
/// ```
///
/// `where kind in (r#type, limit_ticks, stop_ticks)` after the fields maps an order's kind to three fields of the message.
/// A value that is not a plain struct gives its pattern and its type. A type of a stage's own names the stage's codec:
///
/// ```text
/// message! { BookOrder = BookOrder { order, side } where kind in (r#type, limit_ticks, stop_ticks) }
/// message! { { (slot, LastIds { account, order }) }: (Slot, LastIds) = AccountIds { slot, account, order } by AccountCodec }
/// ```
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

/// An enum and its oneof, variant by variant:
///
/// ```text
/// oneof! {
///     OrderEvent = OrderChange.event: order_change::Event {
///         New = New,
///         Ended(end) = Ended,
///         Fill { fill, position_minor } = Fill(OrderFill),
///     }
/// }
/// ```
///
/// To the left of `=` is a variant of the enum, to the right the member of the oneof. What a member holds follows from the
/// variant: nothing if that has no fields; its only field; or a message, in parentheses, whose fields are named as in
/// [`message!`]. The table above is short for
///
/// ```text
/// impl Part for OrderEvent {
///     type Wire = v1::order_change::Event;
///
///     fn to_wire(&self) -> Oneof {
///         match self {
///             OrderEvent::New => Oneof::New(()),
///             OrderEvent::Ended(end) => Oneof::Ended(end.to_wire()),
///             OrderEvent::Fill { fill, position_minor } => Oneof::Fill(v1::OrderFill {
///                 fill: write(fill),
///                 position_minor: write(position_minor),
///             }),
///         }
///     }
///
///     fn from_wire(wire: Oneof, _: &'static str) -> Result<OrderEvent, Error> {
///         Ok(match wire {
///             Oneof::New(()) => OrderEvent::New,
///             Oneof::Ended(wire) => OrderEvent::Ended(Part::from_wire(wire, "OrderChange.Ended")?),
///             Oneof::Fill(wire) => OrderEvent::Fill {
///                 fill: read(wire.fill, "OrderFill.fill")?,
///                 position_minor: read(wire.position_minor, "OrderFill.position_minor")?,
///             },
///         })
///     }
/// }
/// ```
///
/// The head of a table has three forms. In the one above the value stands for the oneof alone. Here it stands for a message
/// that has nothing but the oneof:
///
/// ```text
/// oneof! { End = End { end: end::End { Filled = Filled, Canceled(reason) = Canceled } } }
/// ```
///
/// The third makes two functions, for an enum some of whose fields are elsewhere in the message around the oneof. A field
/// after `|` is not written, and is read by the method of its name of the argument `envelope`. `else` adds arms, first to
/// the `match` that writes and then to the one that reads:
///
/// ```text
/// oneof! {
///     fn to_oneof(), from_oneof(envelope: Envelope)
///     Event = AccountEvent.event: account_event::Event { Withdrawn { account, asset | cause } = Withdrawn(Movement) }
///     else { … } { … }
/// }
/// ```
///
/// `where halted: true` among a variant's fields tells apart members that stand for the same variant.
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

    // What follows is internal. `@write` and `@read` are the two matches of the example above; `@pattern` and `@payload` are
    // the left and the right side of an arm that writes, `@value` is the right side of an arm that reads.
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

    // A variant as a pattern that binds its fields.
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

    // What a member holds: nothing, a field's own wire form, or a message.
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

    // The variant that a member stands for; the same three cases.
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
