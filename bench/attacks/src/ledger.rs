//! `ATTACKS.md`, read: what is expected of each attack, and which test holds it.

/// The ledger as it was when this program was built.
pub const TEXT: &str = include_str!("../ATTACKS.md");

/// One attack with a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: String,
    /// Outcome in the plaintext router.
    pub baseline: String,
    /// Expected outcome on the wires.
    pub wire: String,
    /// Expected outcome in the enclave's place.
    pub enclave: String,
    /// Expected outcome in the provider's place.
    pub provider: String,
    /// `FILE::TEST` below `tests/`.
    pub test: String,
}

/// One adaptive attack, which a plaintext router gives no occasion for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptiveRow {
    /// Its name.
    pub id: String,
    /// Expected refusal, or what remains.
    pub expected: String,
    /// `FILE::TEST` below `tests/`.
    pub test: String,
}

/// The attacks with a baseline, in the ledger's order.
pub fn rows() -> Vec<Row> {
    let row = |cells: Vec<String>| {
        let [id, _source, baseline, wire, enclave, provider, test] = cells.try_into().ok()?;
        Some(Row { id, baseline, wire, enclave, provider, test })
    };
    table("## With a baseline").into_iter().filter_map(row).collect()
}

/// The adaptive attacks, in the ledger's order.
pub fn adaptive() -> Vec<AdaptiveRow> {
    let row = |cells: Vec<String>| {
        let [id, _what, expected, test] = cells.try_into().ok()?;
        Some(AdaptiveRow { id, expected, test })
    };
    table("## Adaptive").into_iter().filter_map(row).collect()
}

/// The cells of the table below a heading, without its two head lines.
fn table(heading: &str) -> Vec<Vec<String>> {
    let lines = TEXT.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let section = lines.take_while(|line| !line.starts_with("## "));
    let rows = section.filter(|line| line.starts_with('|')).skip(2);
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    rows.map(|line| line.trim_matches('|').split('|').map(cell).collect()).collect()
}
