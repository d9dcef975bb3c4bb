//! What is code and what is not, on the inputs that mislead counters.

#![allow(clippy::unwrap_used)]

use super::*;

fn lines(text: &str) -> Vec<usize> {
    let source = Source::parse(text).unwrap();
    source.production().lines().into_iter().collect()
}

fn long(text: &str) -> Vec<(String, usize)> {
    let functions = Source::parse(text).unwrap().functions();
    functions.into_iter().map(|f| (f.name, f.last - f.first + 1)).collect()
}

#[test]
fn comments_of_every_kind_are_not_code() {
    assert_eq!(lines("// one\n/* two\n * three /* nested */ \n */\nfn f() {}\n"), [5]);
    assert_eq!(lines("//! crate\n\n/// item\n/** block\n doc */\nstruct S; // tail\n"), [6]);
    assert_eq!(lines("fn f(/* in\nbetween\n*/) {}\n"), [1, 3]);
}

#[test]
fn comment_marks_inside_strings_are_code() {
    assert_eq!(lines("const U: &str = \"http://x\n// not a comment\n/* nor this\";\n"), [1, 2, 3]);
    assert_eq!(lines("const R: &str = r#\"\n\"// quoted\"\n\"#;\n"), [1, 2, 3]);
    assert_eq!(lines("const C: char = '\"'; // \"\nconst D: &[u8] = b\"//\";\n"), [1, 2]);
}

#[test]
fn attributes_are_code_also_those_that_say_doc() {
    assert_eq!(lines("#[derive(Debug)]\n#[doc = \"text\"]\nstruct S;\n"), [1, 2, 3]);
    assert_eq!(lines("#![no_std]\n#![doc = include_str!(\"x.md\")]\n"), [1, 2]);
}

#[test]
fn macro_bodies_are_code_and_their_doc_comments_are_not() {
    let text =
        "macro_rules! m {\n  // comment\n  ($x:ident) => {\n    /// doc\n    fn $x() {}\n  };\n}\n";
    assert_eq!(lines(text), [1, 3, 5, 6, 7]);
}

#[test]
fn items_for_tests_are_not_production() {
    assert_eq!(lines("fn f() {}\n#[cfg(test)]\nmod tests {\n  fn g() {}\n}\nfn h() {}\n"), [1, 6]);
    assert_eq!(lines("#[cfg(all(test, unix))]\nuse a::{b, c};\nuse d;\n"), [3]);
    assert_eq!(
        lines("#[test]\nfn t() {}\n#[tokio::test(start_paused = true)]\nasync fn u() {}\n"),
        [0; 0]
    );
    assert_eq!(
        lines("/// Doc.\n#[allow(x)]\n#[cfg(test)]\npub(crate) const fn f() {}\nfn g() {}\n"),
        [5]
    );
    assert_eq!(lines("#[cfg(test)]\nconst A: S = S { a: 1 };\nstruct S;\n"), [3]);
    assert_eq!(
        lines("#[cfg(test)]\nimpl S {\n}\nimpl T {\n  #[cfg(test)]\n  fn f() {}\n}\n"),
        [4, 7]
    );
    assert_eq!(lines("#![cfg(test)]\nfn f() {}\n"), [0; 0]);
}

#[test]
fn what_is_not_surely_a_test_counts() {
    assert_eq!(lines("#[cfg(not(test))]\nfn f() {}\n"), [1, 2]);
    assert_eq!(lines("#[cfg(any(test, unix))]\nfn f() {}\n"), [1, 2]);
    assert_eq!(lines("#[cfg(feature = \"test\")]\nfn f() {}\n"), [1, 2]);
    assert_eq!(lines("#[cfg_attr(test, derive(Debug))]\nstruct S;\n"), [1, 2]);
    // A statement: where it ends is not looked for.
    assert_eq!(lines("fn f() {\n  #[cfg(test)]\n  g();\n}\n"), [1, 2, 3, 4]);
}

#[test]
fn modules_of_tests_in_other_files_are_named() {
    let text = "#[cfg(test)]\nmod tests;\nmod real;\nmod inner {\n  #[cfg(test)]\n  mod deep;\n}\n";
    let production = Source::parse(text).unwrap().production();
    assert_eq!(production.test_modules, [vec!["tests"], vec!["inner", "deep"]]);
}

#[test]
fn a_row_of_tokens_is_found_however_it_is_spaced() {
    let skip = "#[rustfmt\n  ::skip]\nfn f() {}\n// rustfmt::skip\n";
    let found = |text| {
        let production = Source::parse(text).unwrap().production();
        production.find(&["rustfmt", ":", ":", "skip"])
    };
    assert_eq!(found(skip), Some(1));
    assert_eq!(found("// #[rustfmt::skip]\nconst S: &str = \"#[rustfmt::skip]\";\n"), None);
}

#[test]
fn functions_are_measured_wherever_they_stand() {
    let text = "fn f()\n{\n  fn g() {}\n}\ntrait T { fn d(); fn e() {\n} }\ntype P = fn(u8);\n";
    let expected = [("f", 4), ("g", 1), ("e", 2)].map(|(n, l)| (n.to_string(), l));
    assert_eq!(long(text), expected);
    let in_macro = "macro_rules! m { ($n:ident) => { fn $n() {\n\n} }; }\n";
    assert_eq!(long(in_macro), [("n".to_string(), 3)]);
}

#[test]
fn a_file_that_is_not_rust_is_an_error() {
    assert!(Source::parse("fn f( {").is_err());
}
