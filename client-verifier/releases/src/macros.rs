//! One line of source for each check: its variant, its name for machines, its sentence.

/// Declares an enum of refusals with `name()` and `Display`.
macro_rules! refusals {
    ($(#[$meta:meta])* $enum:ident {
        $($(#[$doc:meta])* $variant:ident
            $({ $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })?
            = $name:literal, $sentence:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* $variant $({ $($(#[$field_doc])* $field: $type),* })?,)*
        }

        impl $enum {
            /// The check's name in snake_case, for machines.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant $({ $($field: _),* })? => $name,)*
                }
            }
        }

        impl core::fmt::Display for $enum {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),* })? => write!(f, $sentence),)*
                }
            }
        }

        impl core::error::Error for $enum {}
    };
}

pub(crate) use refusals;
