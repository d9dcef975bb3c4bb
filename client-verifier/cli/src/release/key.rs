//! Keys: secret ones in private files, public ones on standard output.

use std::path::Path;

use aegis_releases::{Kind, SignerKey};
use zeroize::Zeroizing;

use crate::{agent::start::say, args::release::KeyArgs, failure::Failure, secret_file};

pub(super) fn run(args: &KeyArgs) -> Result<(), Failure> {
    let key = match (&args.public, &args.name, &args.out) {
        (Some(path), ..) => any(path)?,
        (None, Some(name), Some(out)) => {
            let kind = if args.witness { Kind::Witness } else { Kind::Signature };
            make(name, kind, out)?
        }
        // The command line asks for both.
        _ => return Err(Failure::usage("give a NAME and --out FILE, or --public FILE")),
    };
    say(&format!("{}\n", key.verifier()));
    Ok(())
}

fn make(name: &str, kind: Kind, out: &Path) -> Result<SignerKey, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(seed.as_mut_slice())
        .map_err(|_| Failure::environment("the system gives no random bytes; try again later"))?;
    let key = SignerKey::from_seed(name, kind, &seed).map_err(|e| {
        Failure::usage(format!("{name:?} is no key name: {e}; take a name such as alice.example"))
    })?;
    secret_file::create(out, &key.to_secret_text()).map_err(|e| {
        let out = out.display();
        Failure::environment(format!("cannot write the key {out}: {e}; choose a new file"))
    })?;
    Ok(key)
}

/// The secret key in a file, for this purpose.
pub(super) fn read(path: &Path, kind: Kind) -> Result<SignerKey, Failure> {
    any(path)?.of_kind(kind).map_err(|e| odd(path, &e))
}

fn any(path: &Path) -> Result<SignerKey, Failure> {
    let text = secret_file::read(path).map_err(|e| {
        let path = path.display();
        Failure::environment(format!("cannot read the key {path}: {e}"))
    })?;
    SignerKey::parse(&text).map_err(|e| odd(path, &e))
}

fn odd(path: &Path, error: &aegis_releases::KeyError) -> Failure {
    let path = path.display();
    Failure::usage(format!(
        "the key {path} cannot be used: {error}; make one with `aegis release key`"
    ))
}
