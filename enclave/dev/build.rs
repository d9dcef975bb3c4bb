//! Reads the production table and the mock rows when the program is built, as the production
//! enclave does with its own.

use std::{env, fs, path::Path};

fn main() {
    let mut text = String::new();
    for file in ["../providers.table", "mock.table"] {
        println!("cargo::rerun-if-changed={file}");
        // A build without a table, or with a bad one, must not be.
        text += &fs::read_to_string(file).expect("the tables are in the source");
    }
    let table = aegis_table::generate(&text).unwrap_or_else(|error| panic!("{error}"));
    let folder = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let folder = Path::new(&folder);
    fs::write(folder.join("table.rs"), table).expect("OUT_DIR can be written");
    fs::write(folder.join("table.txt"), text).expect("OUT_DIR can be written");
}
