//! AWS's image library writes the bytes that we write, and measures what we measure.

use std::collections::BTreeMap;
use std::path::Path;

use aegis_eif::eif::Eif;
use aegis_eif::image;
use aegis_eif::image::Parts;
use aegis_eif::measure::Measurements;
use aws_nitro_enclaves_image_format::utils::EifBuilder;
use sha2::Digest;
use sha2::Sha384;

/// The image and the measurements that AWS's library makes of the same parts.
fn oracle(image: &Eif) -> (Vec<u8>, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut builder = EifBuilder::new(
        &file("kernel", &image.kernel),
        image.command_line.clone(),
        None,
        Sha384::new(),
        0,
        serde_json::from_slice(&image.metadata).unwrap(),
    );
    for (index, ramdisk) in image.ramdisks.iter().enumerate() {
        builder.add_ramdisk(&file(&format!("ramdisk{index}"), ramdisk));
    }
    let path = folder.path().join("eif");
    let mut options = std::fs::File::options();
    let mut out = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let measured = builder.write_to(&mut out);
    (std::fs::read(&path).unwrap(), measured)
}

fn assert_same(image: &Eif) {
    let (bytes, measured) = oracle(image);
    let ours = Measurements::of(image);
    assert_eq!(measured["PCR0"], ours.pcr0.to_string());
    assert_eq!(measured["PCR1"], ours.pcr1.to_string());
    assert_eq!(measured["PCR2"], ours.pcr2.to_string());
    let written = image.to_bytes().unwrap();
    assert!(
        bytes == written,
        "{} bytes by AWS's library, {} by ours",
        bytes.len(),
        written.len()
    );
    assert_eq!(&Eif::parse(&bytes).unwrap(), image);
}

fn parts() -> Parts {
    Parts {
        kernel: (0..70_001u32).map(|n| (n * 7 % 251) as u8).collect(),
        kernel_version: "6.12.1".to_owned(),
        command_line: "reboot=k panic=-1".to_owned(),
        init: vec![0x7f; 12_345],
        program_files: BTreeMap::from([("providers.table".to_owned(), b"rows".to_vec())]),
        name: "aegis".to_owned(),
        version: "0.0.1".to_owned(),
    }
}

#[test]
fn an_image_of_our_layout() {
    assert_same(&image::assemble(parts()).unwrap());
}

#[test]
fn one_ramdisk_and_five() {
    for count in [1, 5] {
        let mut image = image::assemble(parts()).unwrap();
        image.ramdisks = (0..count).map(|n| vec![n as u8; 100 + n]).collect();
        assert_same(&image);
    }
}

#[test]
fn sections_of_odd_length_and_no_length() {
    let mut image = image::assemble(parts()).unwrap();
    image.kernel = vec![1];
    image.command_line = String::new();
    image.ramdisks = vec![vec![], vec![9; 3]];
    assert_same(&image);
}

/// `aegis-eif oracle --image FILE` names a real one.
#[test]
fn the_image_named_by_the_caller() {
    let Some(path) = std::env::var_os("AEGIS_ORACLE_IMAGE") else {
        println!("skipped: AEGIS_ORACLE_IMAGE is not set");
        return;
    };
    let bytes = std::fs::read(Path::new(&path)).unwrap();
    let image = Eif::parse(&bytes).unwrap();
    assert!(image.to_bytes().unwrap() == bytes);
    assert_same(&image);
}
