//! Reads the provider table when the program is built, so that no reader is part of the image.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=providers.table");
    // A build without a table, or with a bad one, must not be.
    let text = fs::read_to_string("providers.table").expect("providers.table is in the source");
    let table = aegis_table::generate(&text).unwrap_or_else(|error| panic!("{error}"));
    let folder = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join("table.rs"), table).expect("OUT_DIR can be written");
}
