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

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn read(element: &[u8]) -> Option<(u8, &[u8])> {
        Elements::new(element).any()
    }

    #[test]
    fn lengths_of_every_form_are_read_whole_and_not_beyond() {
        for (length, head) in [
            (0, &[0x04, 0][..]),
            (0x7f, &[0x04, 0x7f]),
            (0x80, &[0x04, 0x81, 0x80]),
            (0xff, &[0x04, 0x81, 0xff]),
            (0x100, &[0x04, 0x82, 1, 0]),
            (0xffff, &[0x04, 0x82, 0xff, 0xff]),
        ] {
            let content = vec![0xa5; length];
            let element: Vec<u8> = [head, &content].concat();
            assert_eq!(read(&element), Some((0x04, content.as_slice())), "{length}");
            assert_eq!(read(&element[..element.len() - 1]), None, "{length}");
            let mut two = Elements::new(&element);
            assert_eq!((two.any().is_some(), two.is_empty()), (true, true));
        }
    }

    #[test]
    fn anything_but_the_shortest_definite_length_is_refused() {
        for head in [
            &[0x04, 0x80][..],
            &[0x04, 0x81, 0x7f],
            &[0x04, 0x82, 0, 0xff],
            &[0x04, 0x83, 1, 0, 0],
            &[0x04, 0xff],
            &[0x04],
            &[],
        ] {
            let element = [head, &[0; 70_000]].concat();
            let element = if head.len() < 2 { head } else { &element };
            assert_eq!(read(element), None, "{head:02x?}");
        }
    }

    #[test]
    fn tags_of_more_than_one_byte_are_refused() {
        assert_eq!(read(&[0x1f, 1, 0]), None);
        assert_eq!(read(&[0xbf, 0x81, 0x80, 0]), None);
    }

    #[test]
    fn an_element_of_another_tag_is_not_the_one_asked_for() {
        let null = [0x05, 0];
        assert_eq!(Elements::new(&null).content(tag::INTEGER), None);
        assert_eq!(Elements::new(&null).whole_sequence(), None);
        assert!(Elements::new(&null).sequence().is_none());
        assert!(Elements::new(&null).next_is(0x05) && !Elements::new(&[]).next_is(0x05));
    }
}
