//! Why something is refused: one variant for each check, grouped by the step that makes it.

use std::fmt;

use crate::macros::refusals;

/// The steps of [`check`](crate::check), in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The bundle's sections.
    Bundle,
    /// The list as a signed note.
    Note,
    /// Enough release keys signed it.
    Signatures,
    /// What it says.
    List,
    /// It is valid now.
    Validity,
    /// The log's signed tree head.
    Checkpoint,
    /// Enough witnesses saw that head.
    Witnesses,
    /// The list is in the log.
    Inclusion,
    /// Nothing is older than, or contradicts, what was accepted before.
    History,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Bundle,
        Self::Note,
        Self::Signatures,
        Self::List,
        Self::Validity,
        Self::Checkpoint,
        Self::Witnesses,
        Self::Inclusion,
        Self::History,
    ];

    /// For people and machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Note => "note",
            Self::Signatures => "signatures",
            Self::List => "list",
            Self::Validity => "validity",
            Self::Checkpoint => "checkpoint",
            Self::Witnesses => "witnesses",
            Self::Inclusion => "inclusion",
            Self::History => "history",
        }
    }
}

/// Why a release list is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Step `bundle`.
    Bundle(BundleError),
    /// Step `note`: the list is no signed note.
    Note(NoteError),
    /// Step `signatures`.
    Signatures(SignatureError),
    /// Step `list`.
    List(ListError),
    /// Step `validity`.
    Validity(ValidityError),
    /// Step `checkpoint`.
    Checkpoint(CheckpointError),
    /// Step `witnesses`.
    Witnesses(WitnessError),
    /// Step `inclusion`.
    Inclusion(InclusionError),
    /// Step `history`.
    History(HistoryError),
}

impl Error {
    /// The step that refused.
    pub const fn step(&self) -> Step {
        match self {
            Self::Bundle(_) => Step::Bundle,
            Self::Note(_) => Step::Note,
            Self::Signatures(_) => Step::Signatures,
            Self::List(_) => Step::List,
            Self::Validity(_) => Step::Validity,
            Self::Checkpoint(_) => Step::Checkpoint,
            Self::Witnesses(_) => Step::Witnesses,
            Self::Inclusion(_) => Step::Inclusion,
            Self::History(_) => Step::History,
        }
    }

    /// The check that refused, in snake_case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bundle(error) => error.name(),
            Self::Note(error) => error.name(),
            Self::Signatures(error) => error.name(),
            Self::List(error) => error.name(),
            Self::Validity(error) => error.name(),
            Self::Checkpoint(error) => error.name(),
            Self::Witnesses(error) => error.name(),
            Self::Inclusion(error) => error.name(),
            Self::History(error) => error.name(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step().name())?;
        match self {
            Self::Bundle(error) => error.fmt(f),
            Self::Note(error) => error.fmt(f),
            Self::Signatures(error) => error.fmt(f),
            Self::List(error) => error.fmt(f),
            Self::Validity(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Witnesses(error) => error.fmt(f),
            Self::Inclusion(error) => error.fmt(f),
            Self::History(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! from {
    ($($variant:ident $type:ident;)*) => {$(
        impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    Bundle BundleError;
    Signatures SignatureError;
    List ListError;
    Validity ValidityError;
    Checkpoint CheckpointError;
    Witnesses WitnessError;
    Inclusion InclusionError;
    History HistoryError;
}

refusals! {
    /// The bundle's sections (SPEC.md, section 3).
    BundleError {
        /// More than [`limits::BUNDLE_BYTES`](crate::limits::BUNDLE_BYTES).
        TooLarge { /// Its length.
            bytes: usize } = "bundle_too_large", "it has {bytes} bytes, which no bundle has";
        /// Another line stands where this one must.
        Line { /// What must stand there.
            expected: &'static str } = "bundle_line", "the line {expected:?} is missing or malformed";
        /// A section announces more bytes than follow.
        Truncated { /// Which.
            section: &'static str } = "bundle_truncated", "the section {section} is cut short";
        /// Bytes after the last section.
        TrailingBytes = "bundle_trailing_bytes", "bytes follow the last section";
        /// Not the base64 of 32 bytes.
        Hash { /// Where.
            section: &'static str } = "bundle_hash", "a line of {section} is not a hash in base64";
        /// A proof longer than any tree is high.
        ProofLength { /// Which.
            section: &'static str } = "proof_length", "{section} has more hashes than any proof";
        /// Too many consistency proofs.
        ConsistencyCount = "consistency_count", "it holds more consistency proofs than 64";
        /// Consistency proofs not in ascending order.
        ConsistencyOrder { /// The size that is not greater than the one before.
            size: u64 } = "consistency_order", "the consistency proof from size {size} is out of order";
    }
}

refusals! {
    /// A signed note (c2sp.org/signed-note, "Format").
    NoteError {
        /// More than the document may have.
        TooLarge { /// Its length.
            bytes: usize } = "note_too_large", "it has {bytes} bytes, more than is read";
        /// Not UTF-8.
        Utf8 = "note_utf8", "it is not UTF-8";
        /// A control character other than newline.
        ControlCharacter = "note_control_character", "it has a control character other than newline";
        /// No blank line, or nothing before or after it.
        NoSignatures = "note_no_signatures", "it ends without a blank line and signatures";
        /// The last line does not end.
        Truncated = "note_truncated", "its last line does not end in a newline";
        /// A line after the blank one is no signature line.
        SignatureLine { /// Counting from 1.
            line: usize } = "note_signature_line", "signature line {line} is malformed";
        /// More than [`limits::SIGNATURES`](crate::limits::SIGNATURES).
        TooManySignatures = "note_too_many_signatures", "it has more than 32 signature lines";
    }
}

refusals! {
    /// Whose signatures a list has.
    SignatureError {
        /// A trusted key's signature is wrong: the text or the signature was changed.
        Wrong { /// The key's name.
            key: String } = "signature_wrong", "the signature of {key} does not fit the text";
        /// Fewer trusted keys than needed.
        Threshold { /// Trusted keys that signed.
            found: usize, /// What the trust file asks for.
            needed: usize } = "signature_threshold",
            "{found} of the trusted release keys signed it, {needed} must";
    }
}

refusals! {
    /// What a list says (SPEC.md, section 1).
    ListError {
        /// Another line stands where this one must.
        Line { /// What must stand there.
            expected: &'static str } = "list_line", "the line {expected:?} is missing or malformed";
        /// It belongs to something else.
        Origin { /// As it says.
            found: String, /// As the trust file says.
            expected: String } = "list_origin", "it is the list of {found}, not of {expected}";
        /// Withdrawn numbers not in ascending order.
        WithdrawnOrder { /// The number that is not greater than the one before.
            number: u32 } = "withdrawn_order", "the withdrawn release {number} is out of order";
        /// More than [`limits::WITHDRAWN`](crate::limits::WITHDRAWN).
        WithdrawnCount = "withdrawn_count", "it withdraws more than 256 releases";
        /// Release 0 is the development enclave.
        NumberZero = "release_zero", "it lists release 0, which is no release";
        /// Releases not in ascending order.
        ReleaseOrder { /// The number that is not greater than the one before.
            number: u32 } = "release_order", "release {number} is out of order";
        /// None, or more than [`limits::RELEASES`](crate::limits::RELEASES).
        ReleaseCount = "release_count", "it lists no release, or more than 16";
        /// A release announces more bytes than follow, or does not end in a newline.
        ReleaseBytes { /// Which.
            number: u32 } = "release_bytes", "release {number} is cut short";
        /// Two numbers for one image: withdrawing one would not withdraw the other.
        SameImage { /// The one.
            one: u32, /// The other.
            other: u32 } = "same_image", "releases {one} and {other} are one image";
        /// A `release.json` cannot be used.
        Entry { /// Which.
            number: u32, /// Why.
            error: EntryError } = "release_json", "release {number}: {error}";
    }
}

refusals! {
    /// What a `release.json` says (eif-build/RELEASE.md).
    EntryError {
        /// Not JSON of the documented fields, or a field twice or unknown.
        Json { /// Where in the entry.
            line: usize } = "json", "it is not JSON of the documented fields (line {line})";
        /// Another format.
        Format = "format", "its format is not aegis-release/1";
        /// Its number is another, or null.
        Number { /// As it says.
            found: String } = "number", "it says of itself that its number is {found}";
        /// Not `production`.
        Variant = "variant", "it is no production image";
        /// A measurement that is not 96 lower-case hexadecimal digits.
        Pcr { /// 0, 1 or 2.
            index: u8 } = "pcr", "pcr{index} is not 96 lower-case hexadecimal digits";
        /// All zero: a debug enclave.
        ZeroPcr { /// 0, 1 or 2.
            index: u8 } = "zero_pcr", "pcr{index} is all zero, as a debug enclave's is";
        /// Not 64 lower-case hexadecimal digits.
        ProviderTable = "provider_table", "provider_table_sha256 is not 64 lower-case hexadecimal digits";
    }
}

refusals! {
    /// When a list is valid.
    ValidityError {
        /// Its end is not after its beginning.
        Empty = "validity_empty", "its end is not after its beginning";
        /// More than 14 days.
        TooLong { /// Its validity in seconds.
            seconds: u64 } = "validity_too_long", "it is valid for {seconds} s, more than 14 days";
        /// It begins in the future.
        NotYet { /// Its beginning, Unix seconds.
            not_before: u64 } = "not_yet_valid", "it is not valid before {not_before} (Unix seconds); check the clock";
        /// It has ended: whoever shows it withholds the next one.
        Frozen { /// Its end, Unix seconds.
            not_after: u64 } = "frozen", "it was valid until {not_after} (Unix seconds); a newer list is withheld, or none was made";
    }
}

refusals! {
    /// The log's tree head (c2sp.org/tlog-checkpoint).
    CheckpointError {
        /// It is no signed note.
        Note { /// Why.
            error: NoteError } = "checkpoint_note", "{error}";
        /// Another line stands where this one must.
        Line { /// What must stand there.
            expected: &'static str } = "checkpoint_line", "the line {expected} is missing or malformed";
        /// A fourth line: what no monitor can audit is not accepted.
        Extension = "checkpoint_extension", "it has extension lines";
        /// Another log's.
        Origin { /// As it says.
            found: String, /// As the trust file says.
            expected: String } = "checkpoint_origin", "it is of the log {found}, not of {expected}";
        /// The log's signature is wrong.
        SignatureWrong = "log_signature_wrong", "the signature of the log does not fit it";
        /// The log did not sign it.
        Unsigned = "log_signature_missing", "the log did not sign it";
    }
}

refusals! {
    /// Cosignatures (c2sp.org/tlog-cosignature).
    WitnessError {
        /// A trusted witness's cosignature does not fit: it is over another tree, another time, or
        /// by another key.
        Wrong { /// The key's name.
            key: String } = "cosignature_wrong", "the cosignature of {key} does not fit this checkpoint";
        /// Not a timestamp and a signature, or a timestamp out of range.
        Timestamp { /// The key's name.
            key: String } = "cosignature_timestamp", "the cosignature of {key} has no timestamp that can be";
        /// Made later than now.
        Future { /// The key's name.
            key: String, /// Unix seconds.
            time: u64 } = "cosignature_future", "the cosignature of {key} is from the future ({time}, Unix seconds)";
        /// Fewer witnesses than needed.
        Threshold { /// Trusted witnesses that cosigned.
            found: usize, /// What the trust file asks for.
            needed: usize } = "witness_threshold",
            "{found} of the trusted witnesses cosigned the checkpoint, {needed} must";
    }
}

refusals! {
    /// That the list is in the log (RFC 9162, 2.1.3.2).
    InclusionError {
        /// The index is not in a tree of this size.
        Index { /// The list's place.
            index: u64, /// The tree's size.
            size: u64 } = "inclusion_index", "index {index} is not in a tree of {size} entries";
        /// The hashes do not lead from this list to the root.
        Root = "inclusion_root", "the proof does not lead from this list to the log's root";
    }
}

refusals! {
    /// What was accepted before.
    HistoryError {
        /// What was accepted before was another list's.
        Origin { /// As it was.
            found: String } = "history_origin", "the state on disk is of {found}";
        /// A list with a lower sequence number than one accepted before.
        Old { /// Its number.
            sequence: u64, /// The highest accepted.
            seen: u64 } = "old", "its sequence number is {sequence}, and {seen} was accepted before: an old list is being shown";
        /// Two lists with one sequence number.
        Forked { /// The number.
            sequence: u64 } = "forked", "another list with sequence number {sequence} was accepted before: the list is forked";
        /// A smaller tree than one accepted before.
        LogOld { /// Its size.
            size: u64, /// The size accepted before.
            seen: u64 } = "log_old", "the log has {size} entries and had {seen} before: an old checkpoint is being shown";
        /// The trees contradict each other.
        LogForked { /// The size accepted before.
            seen: u64, /// Its size.
            size: u64 } = "log_forked", "the log of {size} entries does not continue the one of {seen} that was accepted before: the log is forked";
        /// No proof from the size accepted before.
        NoConsistencyProof { /// That size.
            from: u64 } = "no_consistency_proof", "it holds no consistency proof from {from}, the size accepted before; get a bundle made with --since {from}";
    }
}
