//! `image`, `build` and `check`: from source to an image and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use aegis_eif::Error;
use aegis_eif::boot::Enclave;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;
use aegis_eif::cache::sha256_hex;
use aegis_eif::cache::write_atomically;
use aegis_eif::eif::Eif;
use aegis_eif::folder::Folder;
use aegis_eif::make;
use aegis_eif::make::Made;
use aegis_eif::make::Recipe;
use aegis_eif::measure::Measurements;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::enclave::Program;
use aegis_eif::recipe::kernel::Variant;
use aegis_eif::recipe::read;
use aegis_eif::recipe::say;
use aegis_eif::release::Release;
use aegis_eif::sbom::Bill;
use aegis_eif::scan;

use super::ProgramName;
use super::RecipeArguments;

/// Bar for a production image; growth beyond it is a decision, not an accident.
const LARGEST_IMAGE_BYTES: usize = 12 << 20;

pub(super) fn twice(
    context: &Context,
    arguments: RecipeArguments,
    out: &Path,
    fresh_kernel: bool,
    boot: bool,
) -> Result<(), Error> {
    let production = is_production(&arguments);
    let recipe = recipe(arguments)?;
    let first = make::once(context, &recipe)?;
    let second = make::again_elsewhere(context, &recipe, fresh_kernel)?;
    make::require_same(&first, &second)?;
    if production {
        require_clean(&first)?;
    }
    write(&first, out)?;
    report(&first, out);
    if boot {
        let (tools, image) = (Tools::get(context)?, out.join("aegis.eif"));
        let machine = Enclave::start(&tools, &image, Parent::new()?, &Options::default())?;
        println!("emulated, its heartbeat comes after {:.2} s", machine.boot_time().as_secs_f64());
    }
    println!("image reproducible: yes, PCR0 {}", first.release.pcr0);
    Ok(())
}

pub(super) fn once(context: &Context, arguments: RecipeArguments, out: &Path) -> Result<(), Error> {
    let made = make::once(context, &recipe(arguments)?)?;
    write(&made, out)?;
    report(&made, out);
    println!("{}", Measurements::of(&made.image));
    Ok(())
}

pub(super) fn release(
    context: &Context,
    arguments: RecipeArguments,
    out: Option<PathBuf>,
    fresh_kernel: bool,
) -> Result<(), Error> {
    if !is_production(&arguments) {
        return Err(Error::Unfit("only the production program and kernel are released".into()));
    }
    let number = arguments.number.ok_or_else(|| Error::Configuration {
        path: "--number".into(),
        reason: "a release has a number; name the next one".to_owned(),
    })?;
    let out = out.unwrap_or_else(|| format!("target/release-{number}").into());
    let recipe = recipe(arguments)?;
    let first = make::once(context, &recipe)?;
    let folder = folder_of(&recipe, &first)?;
    let second = make::again_elsewhere(context, &recipe, fresh_kernel)?;
    make::require_same(&first, &second)?;
    require_clean(&first)?;
    folder.write(&out)?;
    report(&first, &out);
    println!("image reproducible: yes, PCR0 {}", first.release.pcr0);
    Ok(())
}

fn folder_of(recipe: &Recipe, made: &Made) -> Result<Folder, Error> {
    let init = make::program(made)?;
    let bill = Bill::of(&recipe.source, &recipe.program, &made.release, &init)?;
    Folder::of(made, &bill)
}

pub(super) fn check(
    context: &Context,
    arguments: RecipeArguments,
    folder: &Path,
    fresh_kernel: bool,
) -> Result<(), Error> {
    let (image_path, release_path) = (folder.join("aegis.eif"), folder.join("release.json"));
    let bytes = read(&image_path)?;
    let image =
        Eif::parse(&bytes).map_err(|source| Error::Eif { path: image_path.clone(), source })?;
    let release = Release::parse(&release_path, &read(&release_path)?)?;
    release.check_image(&image, &bytes)?;
    // What has a number is a release, and a release is whole.
    let whole = release.number.map(|_| Folder::read(folder)).transpose()?;
    let mut recipe = recipe(arguments)?;
    recipe.number = release.number;
    let given = Made { image, bytes, release };
    let rebuilt = make::again_elsewhere(context, &recipe, fresh_kernel)?;
    make::require_same(&given, &rebuilt)?;
    if read(&release_path)? != rebuilt.release.to_bytes() {
        return Err(Error::Differs("release.json has the same content in another form".into()));
    }
    if let Some(whole) = whole {
        whole.require_equal(&folder_of(&recipe, &rebuilt)?)?;
        println!(
            "release {}: all files follow from this source",
            recipe.number.unwrap_or_default()
        );
    }
    println!("image reproducible: yes, PCR0 {}", given.release.pcr0);
    Ok(())
}

fn recipe(arguments: RecipeArguments) -> Result<Recipe, Error> {
    let files = files(&arguments)?;
    let source = arguments.program.source.source;
    let source = source.canonicalize().map_err(Error::file("find", &source))?;
    let standard_table = source.join("enclave/providers.table");
    Ok(Recipe {
        program: program(arguments.program.program),
        variant: arguments.variant,
        kernel: arguments.kernel.zip(arguments.kernel_config),
        init: arguments.init,
        files,
        command_line: arguments.command_line,
        provider_table: arguments.table.or(standard_table.exists().then_some(standard_table)),
        number: arguments.number,
        source,
    })
}

/// What a development image is told: whom its attester is, and whom the mock's certificates are by.
/// Whoever builds it learns the fingerprint by which a client accepts it.
fn files(arguments: &RecipeArguments) -> Result<BTreeMap<String, PathBuf>, Error> {
    let refused =
        |reason: &str| Error::Configuration { path: "--program".into(), reason: reason.to_owned() };
    let development = matches!(arguments.program.program, ProgramName::Development);
    match (development, &arguments.development_root, &arguments.mock_root) {
        (false, None, None) => Ok(BTreeMap::new()),
        (true, Some(folder), Some(mock)) => {
            let fingerprint = sha256_hex(&read(&folder.join("root.der"))?);
            println!("development root {fingerprint}");
            let key = folder.join("root.key.pem");
            Ok(BTreeMap::from([
                ("root.key.pem".to_owned(), key),
                ("mock-root.pem".to_owned(), mock.clone()),
            ]))
        }
        (true, ..) => Err(refused("development needs --development-root DIR and --mock-root PEM")),
        (false, ..) => Err(refused("only a development image takes a root; leave the root away")),
    }
}

pub(super) fn program(name: ProgramName) -> Program {
    match name {
        ProgramName::Enclave => Program::enclave(),
        ProgramName::Development => Program::development_enclave(),
        ProgramName::Probe => Program::probe(),
    }
}

fn is_production(arguments: &RecipeArguments) -> bool {
    matches!(arguments.program.program, ProgramName::Enclave)
        && arguments.variant == Variant::Production
}

/// Nothing forbidden inside, and not too large.
fn require_clean(made: &Made) -> Result<(), Error> {
    let findings = scan::forbidden(&made.image);
    if !findings.is_empty() {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        return Err(Error::Unfit(lines.join("; ")));
    }
    if made.bytes.len() > LARGEST_IMAGE_BYTES {
        let reason = format!("{} bytes, the bar is {LARGEST_IMAGE_BYTES}", made.bytes.len());
        return Err(Error::Unfit(reason));
    }
    Ok(())
}

fn write(made: &Made, out: &Path) -> Result<(), Error> {
    write_atomically(&out.join("aegis.eif"), &made.bytes)?;
    write_atomically(&out.join("release.json"), &made.release.to_bytes())?;
    if made.release.commit.is_none() {
        say("release.json names no commit: the source is not exactly one");
    }
    Ok(())
}

/// Sizes, for whoever watches the image grow.
fn report(made: &Made, out: &Path) {
    let whole = made.bytes.len();
    println!("{}: {whole} bytes, at most {LARGEST_IMAGE_BYTES}", out.join("aegis.eif").display());
    for section in &made.release.sections {
        let bytes = section.digest.bytes;
        let share = 100.0 * bytes as f64 / whole as f64;
        println!("  {:<12} {bytes:>9} bytes {share:>6.2} %", section.kind);
    }
}
