//! As much DER (X.690) as the certificates of a Nitro chain need: tags of one byte, definite
//! lengths in shortest form, no recursion.

/// Tags used by X.509.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const CONTEXT_0: u8 = 0xa0;
    pub(crate) const CONTEXT_3: u8 = 0xa3;
}

/// Elements one after another. None from any method means: not DER, or not what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the next element has this tag.
    pub(crate) fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn content(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, content, _) = self.element()?;
        (tag == expected).then_some(content)
    }

    /// The next element, a sequence, with its head.
    pub(crate) fn whole_sequence(&mut self) -> Option<&'a [u8]> {
        let (tag, _, whole) = self.element()?;
        (tag == tag::SEQUENCE).then_some(whole)
    }

    /// The elements inside the next one, which must be a sequence.
    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.content(tag::SEQUENCE).map(Self)
    }

    /// The tag and content of the next element, whatever it is.
    pub(crate) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        self.element().map(|(tag, content, _)| (tag, content))
    }

    fn element(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (head_bytes, length) = match *self.0 {
            [_, short @ 0..=0x7f, ..] => (2, usize::from(short)),
            [_, 0x81, length @ 0x80..=0xff, ..] => (3, usize::from(length)),
            [_, 0x82, high @ 1..=0xff, low, ..] => {
                (4, usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return None,
        };
        let tag = *self.0.first()?;
        // Tags of more than one byte do not occur in X.509.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let whole = self.0.get(..head_bytes + length)?;
        let content = whole.get(head_bytes..)?;
        self.0 = self.0.get(head_bytes + length..)?;
        Some((tag, content, whole))
    }
}
