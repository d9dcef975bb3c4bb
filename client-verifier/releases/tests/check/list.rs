//! What a list says and when it is valid.

use aegis_releases::{
    EntryError, Error, HistoryError, List, ListError, Status, UnixSeconds, ValidityError, check,
};

use crate::support::{
    DAY, Keys, Log, NOW, ORIGIN, bundle_of, judge, refused_text, release_json, signed, text,
};

fn line(expected: &'static str) -> Error {
    ListError::Line { expected }.into()
}

/// The list with one line changed.
fn with(from: &str, to: &str) -> String {
    let text = text(3);
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// A list whose one release is this `release.json`, announced as number 7.
fn only(entry: &str) -> String {
    let head = text(3);
    let head = &head[..head.find("release ").unwrap()];
    format!("{head}release 7 {}\n{entry}", entry.len())
}

fn entry_error(from: &str, to: &str) -> EntryError {
    let json = release_json(7);
    assert!(json.contains(from), "{from}");
    match refused_text(&only(&json.replacen(from, to, 1))) {
        Error::List(ListError::Entry { number: 7, error }) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn release_json_goes_in_byte_for_byte() {
    let text = text(3);
    assert!(text.contains(&release_json(7)) && text.contains(&release_json(8)));
    let list = List::parse(&text).unwrap();
    let release = &list.releases()[0];
    assert_eq!((release.number, release.version.as_str()), (7, "0.7.0"));
    assert_eq!(release.pcrs, [[16 + 7; 48], [32 + 7; 48], [48 + 7; 48]]);
    assert_eq!(release.provider_table, Some([7; 32]));
    assert_eq!(release.commit, Some("07".repeat(20)));
}

#[test]
fn another_header_or_origin_line() {
    assert_eq!(
        refused_text(&with("aegis-releases/1", "aegis-releases/2")),
        line("aegis-releases/1")
    );
    assert_eq!(refused_text(&with("origin ", "origin a ")), line("origin NAME"));
    assert_eq!(refused_text(&with("origin ", "product ")), line("origin NAME"));
}

#[test]
fn list_of_another_origin() {
    let error = refused_text(&with(ORIGIN, "staging.example/releases"));
    let (found, expected) = ("staging.example/releases".to_owned(), ORIGIN.to_owned());
    assert_eq!(error, ListError::Origin { found, expected }.into());
}

#[test]
fn numbers_are_canonical() {
    for bad in ["03", "+3", "-3", "3 ", "0x3", "", "18446744073709551616"] {
        let error = refused_text(&with("sequence 3", &format!("sequence {bad}")));
        assert_eq!(error, line("sequence NUMBER"), "{bad:?}");
    }
    let wide = with("minimum 5", "minimum 4294967296");
    assert_eq!(refused_text(&wide), line("minimum NUMBER"));
}

#[test]
fn each_line_is_needed_in_its_place() {
    let text = text(3);
    for (word, expected) in [
        ("sequence", "sequence NUMBER"),
        ("not-before", "not-before SECONDS"),
        ("not-after", "not-after SECONDS"),
        ("minimum", "minimum NUMBER"),
    ] {
        let found = text.lines().find(|line| line.starts_with(word)).unwrap();
        assert_eq!(refused_text(&text.replacen(&format!("{found}\n"), "", 1)), line(expected));
    }
    let unknown = with("minimum 5\n", "minimum 5\ncolour 3\n");
    assert_eq!(refused_text(&unknown), line("release NUMBER BYTES"));
}

#[test]
fn withdrawn_numbers_out_of_order() {
    for (bad, number) in [("withdrawn 6\nwithdrawn 6\n", 6), ("withdrawn 6\nwithdrawn 5\n", 5)] {
        let error = refused_text(&with("withdrawn 6\n", bad));
        assert_eq!(error, ListError::WithdrawnOrder { number }.into());
    }
    assert_eq!(refused_text(&with("withdrawn 6", "withdrawn six")), line("withdrawn NUMBER"));
    let many: String = (1..=257).map(|number| format!("withdrawn {number}\n")).collect();
    assert_eq!(refused_text(&with("withdrawn 6\n", &many)), ListError::WithdrawnCount.into());
}

#[test]
fn releases_out_of_order() {
    let head = text(3);
    let head = &head[..head.find("release ").unwrap()];
    let release = |number| {
        let entry = release_json(number);
        format!("release {number} {}\n{entry}", entry.len())
    };
    let error = refused_text(&format!("{head}{}{}", release(8), release(7)));
    assert_eq!(error, ListError::ReleaseOrder { number: 7 }.into());
    let error = refused_text(&format!("{head}{}{}", release(8), release(8)));
    assert_eq!(error, ListError::ReleaseOrder { number: 8 }.into());
}

#[test]
fn no_release_or_too_many() {
    let head = text(3);
    let head = &head[..head.find("release ").unwrap()];
    assert_eq!(refused_text(head), ListError::ReleaseCount.into());
    let release = |number| {
        // Short enough that seventeen fit in an entry of the log.
        let entry = release_json(number);
        format!("release {number} {}\n{entry}", entry.len())
    };
    let many: String = (1..=17).map(release).collect();
    assert_eq!(refused_text(&format!("{head}{many}")), ListError::ReleaseCount.into());
}

#[test]
fn one_image_under_two_numbers() {
    let same = release_json(7).replacen("\"number\": 7", "\"number\": 8", 1);
    let both = format!("{}release 8 {}\n{same}", only(&release_json(7)), same.len());
    assert_eq!(refused_text(&both), ListError::SameImage { one: 7, other: 8 }.into());
}

#[test]
fn release_zero_is_no_release() {
    let zero = only(&release_json(0)).replacen("release 7", "release 0", 1);
    assert_eq!(refused_text(&zero), ListError::NumberZero.into());
}

#[test]
fn release_cut_short() {
    let error = refused_text(text(3).trim_end());
    assert!(matches!(error, Error::Note(_)), "{error}");
    let json = release_json(7);
    let long = only(&json).replacen(&json.len().to_string(), &(json.len() + 1).to_string(), 1);
    assert_eq!(refused_text(&long), ListError::ReleaseBytes { number: 7 }.into());
    let short = only(&json).replacen(&json.len().to_string(), &(json.len() - 1).to_string(), 1);
    assert_eq!(refused_text(&short), ListError::ReleaseBytes { number: 7 }.into());
}

#[test]
fn release_that_says_another_number() {
    let error = entry_error("\"number\": 7", "\"number\": 9");
    assert_eq!(error, EntryError::Number { found: "9".to_owned() });
    let error = entry_error("\"number\": 7", "\"number\": null");
    assert_eq!(error, EntryError::Number { found: "null".to_owned() });
}

#[test]
fn release_of_another_format_or_variant() {
    assert_eq!(entry_error("aegis-release/1", "aegis-release/2"), EntryError::Format);
    assert_eq!(entry_error("production", "debug"), EntryError::Variant);
}

#[test]
fn release_with_an_unknown_or_repeated_or_missing_field() {
    for (from, to) in [
        ("\"commit\"", "\"colour\": 1, \"commit\""),
        ("\"version\"", "\"version\": \"1\", \"version\""),
        ("\"pcr1\"", "\"pcr0\""),
        ("\"rustc\"", "\"colour\": 1, \"rustc\""),
        ("\"kind\"", "\"colour\": 1, \"kind\""),
        ("}\n", "} trailing\n"),
    ] {
        assert!(matches!(entry_error(from, to), EntryError::Json { .. }), "{to}");
    }
}

#[test]
fn measurements_are_exact() {
    let pcr0 = "17".repeat(48);
    for bad in [&pcr0[2..], &format!("{pcr0}17"), &format!("{}1F", &pcr0[2..]), "zz"] {
        assert_eq!(entry_error(&pcr0, bad), EntryError::Pcr { index: 0 }, "{bad}");
    }
    assert_eq!(entry_error(&"37".repeat(48), "37"), EntryError::Pcr { index: 2 });
    let zero = "00".repeat(48);
    assert_eq!(entry_error(&"27".repeat(48), &zero), EntryError::ZeroPcr { index: 1 });
    let table = format!("\"provider_table_sha256\": \"{}\"", "07".repeat(32));
    let bad = "\"provider_table_sha256\": \"07\"";
    assert_eq!(entry_error(&table, bad), EntryError::ProviderTable);
}

#[test]
fn withdrawn_release_is_not_accepted() {
    let keys = Keys::new();
    let note = signed(&keys, &with("withdrawn 6\n", "withdrawn 6\nwithdrawn 7\n"));
    let accepted = judge(&keys, &bundle_of(&keys, &note), None).unwrap();
    assert_eq!(accepted.releases().map(|release| release.number).collect::<Vec<_>>(), [8]);
    assert_eq!(accepted.list().status(7), Status::Withdrawn);
}

#[test]
fn release_below_the_minimum_is_not_accepted() {
    let keys = Keys::new();
    let note = signed(&keys, &with("minimum 5", "minimum 8"));
    let accepted = judge(&keys, &bundle_of(&keys, &note), None).unwrap();
    assert_eq!(accepted.releases().map(|release| release.number).collect::<Vec<_>>(), [8]);
    assert_eq!(accepted.list().status(7), Status::BelowMinimum);
    assert_eq!(accepted.list().status(8), Status::Accepted);
}

#[test]
fn list_that_withdraws_everything_accepts_nothing() {
    let keys = Keys::new();
    let note = signed(&keys, &with("withdrawn 6\n", "withdrawn 7\nwithdrawn 8\n"));
    let accepted = judge(&keys, &bundle_of(&keys, &note), None).unwrap();
    assert_eq!(accepted.releases().count(), 0);
    assert!(accepted.findings()[3].found.contains("every release listed is withdrawn"));
}

fn not_after(seconds: u64) -> String {
    with(&format!("not-after {}", NOW + 9 * DAY), &format!("not-after {seconds}"))
}

#[test]
fn not_after_too_far() {
    let seconds = 14 * DAY;
    let keys = Keys::new();
    let longest = signed(&keys, &not_after(NOW - DAY + seconds));
    assert!(judge(&keys, &bundle_of(&keys, &longest), None).is_ok());
    let error = refused_text(&not_after(NOW - DAY + seconds + 1));
    assert_eq!(error, ValidityError::TooLong { seconds: seconds + 1 }.into());
}

#[test]
fn validity_that_ends_before_it_begins() {
    assert_eq!(refused_text(&not_after(NOW - DAY)), ValidityError::Empty.into());
    assert_eq!(refused_text(&not_after(0)), ValidityError::Empty.into());
}

#[test]
fn expired_list_is_frozen() {
    let not_after = NOW + 9 * DAY;
    let keys = Keys::new();
    let bundle = Log::of(&keys, 3).bundle(&keys);
    let at = |now| check(&bundle, &keys.trust(), None, UnixSeconds(now));
    assert!(at(not_after - 1).is_ok());
    assert_eq!(at(not_after).unwrap_err(), ValidityError::Frozen { not_after }.into());
}

#[test]
fn list_of_the_future_is_not_valid_yet() {
    let keys = Keys::new();
    let note = signed(
        &keys,
        &with(&format!("not-before {}", NOW - DAY), &format!("not-before {}", NOW + 60)),
    );
    let bundle = bundle_of(&keys, &note);
    assert!(judge(&keys, &bundle, None).is_ok());
    let error = check(&bundle, &keys.trust(), None, UnixSeconds(NOW - 1)).unwrap_err();
    assert_eq!(error, ValidityError::NotYet { not_before: NOW + 60 }.into());
    assert_ne!(error.name(), HistoryError::Forked { sequence: 3 }.name());
}
