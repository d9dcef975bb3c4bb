//! The image format: what is written is read back, and each defect has its own refusal.
#![allow(clippy::unwrap_used)]

use aegis_eif::eif::Eif;
use aegis_eif::eif::EifError;
use aegis_eif::format::CRC_OFFSET;
use aegis_eif::format::HEADER_BYTES;
use aegis_eif::format::MAX_SECTIONS;

fn image() -> Eif {
    Eif {
        kernel: vec![0x4d; 1000],
        command_line: "reboot=k panic=-1".to_owned(),
        metadata: b"{\"ImageName\":\"aegis\"}".to_vec(),
        ramdisks: vec![vec![1; 512], vec![2; 1024]],
    }
}

/// The refusal of the example image after `mutate` and a checksum made right again.
fn refusal(mutate: impl Fn(&mut Vec<u8>)) -> EifError {
    let mut bytes = image().to_bytes().unwrap();
    mutate(&mut bytes);
    if bytes.len() >= HEADER_BYTES {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..CRC_OFFSET]);
        crc.update(&bytes[HEADER_BYTES..]);
        bytes[CRC_OFFSET..HEADER_BYTES].copy_from_slice(&crc.finalize().to_be_bytes());
    }
    Eif::parse(&bytes).unwrap_err()
}

#[test]
fn reading_gives_back_what_was_written() {
    assert_eq!(Eif::parse(&image().to_bytes().unwrap()).unwrap(), image());
}

#[test]
fn every_flipped_byte_is_refused() {
    let bytes = image().to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        assert!(Eif::parse(&flipped).is_err(), "byte {at} flipped and accepted");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = image().to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(Eif::parse(&bytes[..length]).is_err(), "{length} bytes accepted");
    }
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = image().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(Eif::parse(&bytes), Err(EifError::Checksum { .. })));
}

#[test]
fn other_formats_and_versions_are_refused() {
    assert_eq!(refusal(|b| b.truncate(10)), EifError::TooShort { found: 10 });
    assert_eq!(refusal(|b| b[1] = b'E'), EifError::Magic);
    let header = |field, found, expected| EifError::Header { field, found, expected };
    assert_eq!(refusal(|b| b[5] = 3), header("version", 3, 4));
    assert_eq!(refusal(|b| b[7] = 1), header("flags", 1, 0));
    assert_eq!(refusal(|b| b[15] = 1), header("memory", (1 << 30) + 1, 1 << 30));
    assert_eq!(refusal(|b| b[23] = 3), header("CPUs", 3, 2));
    assert_eq!(refusal(|b| b[25] = 1), header("reserved field", 1, 0));
    assert_eq!(refusal(|b| b[CRC_OFFSET - 1] = 1), header("unused field", 1, 0));
    assert_eq!(refusal(|b| b[27] = 33), EifError::SectionCount { found: 33 });
}

#[test]
fn bytes_that_no_section_owns_are_refused() {
    assert_eq!(refusal(|b| b.push(0)), EifError::Trailing { count: 1 });
    let last_offset = 28 + 8 * (MAX_SECTIONS - 1);
    let refused = refusal(|b| b[last_offset + 7] = 9);
    assert!(matches!(refused, EifError::Header { found: 9, .. }), "{refused}");
}

#[test]
fn sections_must_follow_each_other() {
    let refused = refusal(|b| b[28 + 8 + 7] += 1);
    assert!(matches!(refused, EifError::SectionOffset { index: 1, .. }), "{refused}");
    let refused = refusal(|b| b[28 + 8 * MAX_SECTIONS] = 0xff);
    assert!(matches!(refused, EifError::SectionSize { index: 0, .. }), "{refused}");
    let refused = refusal(|b| b[HEADER_BYTES + 11] += 1);
    assert_eq!(refused, EifError::SectionHeader { index: 0 });
    let refused = refusal(|b| b[HEADER_BYTES + 3] = 1);
    assert_eq!(refused, EifError::SectionHeader { index: 0 });
}

#[test]
fn kinds_must_stand_in_order() {
    let refused = refusal(|b| b[HEADER_BYTES + 1] = 4);
    assert!(matches!(refused, EifError::SectionKind { index: 0, name: "signature", .. }));
    let refused = refusal(|b| b[HEADER_BYTES + 1] = 77);
    assert!(matches!(refused, EifError::SectionKind { index: 0, name: "unknown", .. }));
}

#[test]
fn an_image_without_ramdisk_is_refused() {
    let bare = Eif { ramdisks: Vec::new(), ..image() };
    let refused = Eif::parse(&bare.to_bytes().unwrap()).unwrap_err();
    assert_eq!(refused, EifError::Incomplete { found: 3 });
}

#[test]
fn more_sections_than_fit_are_not_written() {
    let crowded = Eif { ramdisks: vec![Vec::new(); MAX_SECTIONS], ..image() };
    assert_eq!(crowded.to_bytes(), Err(EifError::SectionCount { found: MAX_SECTIONS + 3 }));
}

#[test]
fn a_command_line_that_is_not_text_is_refused() {
    let at = HEADER_BYTES + 12 + 1000 + 12;
    assert_eq!(refusal(|b| b[at] = 0xff), EifError::CommandLine);
}
