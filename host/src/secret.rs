//! A wrapper for provider credentials: no `Debug`, `Display` or `Serialize` shows the content, and
//! the memory is wiped when it is dropped.

use zeroize::Zeroizing;

/// A credential of the operator.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Wraps it; the argument is taken over, not copied.
    pub fn new(content: String) -> Self {
        Self(Zeroizing::new(content.into_bytes()))
    }

    /// The content, for the one frame that carries it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing_of_the_content() {
        let secret = Secret::new("sk-made-up-canary".into());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), b"sk-made-up-canary");
    }
}
