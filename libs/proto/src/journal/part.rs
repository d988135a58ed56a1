//! Values as parts of messages: how one is written and read, alone, as a field, optional and in lists.
//!
//! What reads takes the name of the field, as `Message.field`, for its error.

use super::Error;

/// A value as messages have it.
///
/// `Codec` is who writes it: the journal the values of the domain, and a stage's codec those that only its stage has.
pub trait Part<Codec = Journal>: Sized {
    /// What stands for it: a number, a text, a message.
    type Wire;

    /// What is written for it.
    fn to_wire(&self) -> Self::Wire;

    /// The value that was written as `wire`.
    ///
    /// # Errors
    /// What no value was written as, by the name of the field.
    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error>;
}

/// Who writes the values of the domain.
#[derive(Clone, Copy, Debug)]
pub struct Journal;

/// A field of a message: what stands for a value, or a message that may be missing.
pub trait Present<Wire> {
    /// What was written in it.
    ///
    /// # Errors
    /// Nothing was.
    fn present(self, name: &'static str) -> Result<Wire, Error>;
}

impl<Wire> Present<Wire> for Wire {
    fn present(self, _name: &'static str) -> Result<Wire, Error> {
        Ok(self)
    }
}

impl<Wire> Present<Wire> for Option<Wire> {
    fn present(self, name: &'static str) -> Result<Wire, Error> {
        present(name, self)
    }
}

/// A part that must be there.
///
/// # Errors
/// It is not.
pub fn present<T>(field: &'static str, part: Option<T>) -> Result<T, Error> {
    part.ok_or(Error::Missing(field))
}

/// What a field has for `value`.
pub fn write<Codec, T: Part<Codec>, F: From<T::Wire>>(value: &T) -> F {
    value.to_wire().into()
}

/// The value that a field has.
///
/// # Errors
/// It is missing, or no value was written so.
pub fn read<Codec, T, F>(field: F, name: &'static str) -> Result<T, Error>
where
    T: Part<Codec>,
    F: Present<T::Wire>,
{
    T::from_wire(field.present(name)?, name)
}

impl<Codec, T: Part<Codec>> Part<Codec> for Option<T> {
    type Wire = Option<T::Wire>;

    fn to_wire(&self) -> Self::Wire {
        self.as_ref().map(T::to_wire)
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        wire.map(|wire| T::from_wire(wire, name)).transpose()
    }
}

impl<Codec, T: Part<Codec>> Part<Codec> for Vec<T> {
    type Wire = Vec<T::Wire>;

    fn to_wire(&self) -> Self::Wire {
        self.iter().map(T::to_wire).collect()
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        let values = wire.into_iter().map(|wire| T::from_wire(wire, name));
        values.collect()
    }
}

impl<Codec, T: Part<Codec>> Part<Codec> for Box<T> {
    type Wire = T::Wire;

    fn to_wire(&self) -> Self::Wire {
        self.as_ref().to_wire()
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        T::from_wire(wire, name).map(Box::new)
    }
}

impl<Codec, T: Part<Codec>> Part<Codec> for Box<[T]> {
    type Wire = Vec<T::Wire>;

    fn to_wire(&self) -> Self::Wire {
        self.iter().map(T::to_wire).collect()
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        Vec::from_wire(wire, name).map(Vec::into_boxed_slice)
    }
}
