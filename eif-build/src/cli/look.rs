//! `pcrs` and `diff`: what can be said about image files without building anything.

use std::path::Path;

use aegis_eif::Error;
use aegis_eif::diff::between;
use aegis_eif::eif::Eif;
use aegis_eif::measure::Measurements;
use aegis_eif::recipe::read;

pub(super) fn pcrs(path: &Path, json: bool) -> Result<(), Error> {
    let measured = Measurements::of(&image(path)?);
    if json {
        let Measurements { pcr0, pcr1, pcr2 } = measured;
        println!("{{\"pcr0\":\"{pcr0}\",\"pcr1\":\"{pcr1}\",\"pcr2\":\"{pcr2}\"}}");
    } else {
        println!("{measured}");
    }
    Ok(())
}

pub(super) fn diff(left: &Path, right: &Path) -> Result<(), Error> {
    let (left_image, right_image) = (image(left)?, image(right)?);
    let differences = between(&left_image, &right_image);
    if differences.is_empty() {
        println!("equal, PCR0 {}", Measurements::of(&left_image).pcr0);
        return Ok(());
    }
    for difference in &differences {
        println!("{difference}");
    }
    let (left, right) = (Measurements::of(&left_image), Measurements::of(&right_image));
    let moved: Vec<&str> = [
        ("PCR0", left.pcr0 != right.pcr0),
        ("PCR1", left.pcr1 != right.pcr1),
        ("PCR2", left.pcr2 != right.pcr2),
    ]
    .into_iter()
    .filter_map(|(name, moved)| moved.then_some(name))
    .collect();
    Err(Error::Differs(match moved.is_empty() {
        true => "only what is not measured".to_owned(),
        false => format!("other measurements: {}", moved.join(", ")),
    }))
}

pub(super) fn image(path: &Path) -> Result<Eif, Error> {
    Eif::parse(&read(path)?).map_err(|source| Error::Eif { path: path.to_path_buf(), source })
}
