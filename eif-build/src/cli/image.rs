//! `image`, `build` and `check`: from source to an image and back.

use std::path::Path;

use aegis_eif::Error;
use aegis_eif::cache::write_atomically;
use aegis_eif::eif::Eif;
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
    let mut recipe = recipe(arguments)?;
    recipe.number = release.number;
    let given = Made { image, bytes, release };
    let rebuilt = make::again_elsewhere(context, &recipe, fresh_kernel)?;
    make::require_same(&given, &rebuilt)?;
    if read(&release_path)? != rebuilt.release.to_bytes() {
        return Err(Error::Differs("release.json has the same content in another form".into()));
    }
    println!("image reproducible: yes, PCR0 {}", given.release.pcr0);
    Ok(())
}

fn recipe(arguments: RecipeArguments) -> Result<Recipe, Error> {
    let source = arguments.program.source.source;
    let source = source.canonicalize().map_err(Error::file("find", &source))?;
    let standard_table = source.join("enclave/providers.table");
    Ok(Recipe {
        program: program(arguments.program.program),
        variant: arguments.variant,
        kernel: arguments.kernel.zip(arguments.kernel_config),
        init: arguments.init,
        command_line: arguments.command_line,
        provider_table: arguments.table.or(standard_table.exists().then_some(standard_table)),
        number: arguments.number,
        source,
    })
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
    println!("{}: {} bytes", out.join("aegis.eif").display(), made.bytes.len());
    for section in &made.release.sections {
        println!("  {:<12} {:>9} bytes", section.kind, section.digest.bytes);
    }
}
