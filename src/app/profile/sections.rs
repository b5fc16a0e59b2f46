//! The sections that say whose each file is and under what conditions the application runs.

use super::ProfileError;
use super::model::{
    Edited, Extra, FileRules, PathRule, Quiesce, ReleaseRules, Review, RunAs, Runtime,
    SnapshotRules,
};
use super::parse::{Declared, only, only_empty};
use super::reader::{Reader, Text};
use super::sources::version_rule;

pub(super) fn snapshot(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<SnapshotRules, ProfileError> {
    let Some(mut reader) = top.table("snapshot")? else { return Ok(SnapshotRules::default()) };
    let roots = reader.texts("roots")?;
    if let Some(other) = roots.iter().find(|root| root.text != ".") {
        return Err(super::reader::not_supported(other.place, "roots other than \".\""));
    }
    let rules = SnapshotRules {
        external: known.templates(&reader.texts("external")?)?,
        skip_content: known.templates(&reader.texts("skip_content")?)?,
        guarded: known.templates(&reader.texts("guarded")?)?,
    };
    reader.finish(&[])?;
    Ok(rules)
}

pub(super) fn release(top: &mut Reader<'_>) -> Result<ReleaseRules, ProfileError> {
    let Some(mut reader) = top.table("release")? else { return Ok(ReleaseRules::default()) };
    only(&mut reader, "checksum", "none")?;
    only_empty(&mut reader, "map")?;
    let strip = reader.texts("strip")?;
    for text in &strip {
        pattern(*text)?;
    }
    let rules = ReleaseRules {
        strip: strip.iter().map(|text| text.text.to_owned()).collect(),
        php: reader.table("php")?.map(version_rule).transpose()?,
    };
    reader.finish(&["url"])?;
    Ok(rules)
}

/// Whether `text` is a pattern at all; what its variables bring in cannot spoil it.
fn pattern(text: Text<'_>) -> Result<(), ProfileError> {
    let bare = text.text.strip_prefix('!').unwrap_or(text.text);
    match globset::Glob::new(bare) {
        Ok(_) => Ok(()),
        Err(error) => Err(text.error(format!("this is no pattern: {}", error.kind()))),
    }
}

pub(super) fn files(top: &mut Reader<'_>, known: &Declared) -> Result<FileRules, ProfileError> {
    let mut rules = FileRules {
        preserve: Vec::new(),
        secret: Vec::new(),
        purge: Vec::new(),
        review: Vec::new(),
        edited: Edited::Stop,
        extra: Extra::Keep,
    };
    let Some(mut reader) = top.table("files")? else { return Ok(rules) };
    let mut patterns = |key| {
        let texts = reader.texts(key)?;
        texts.iter().try_for_each(|text| pattern(*text))?;
        known.templates(&texts)
    };
    rules.preserve = patterns("preserve")?;
    rules.secret = patterns("secret")?;
    rules.purge = patterns("purge")?;
    for mut review in reader.tables("review")? {
        rules.review.push(Review {
            template: known.template(review.need("template")?)?,
            live: known.template(review.need("live")?)?,
        });
        review.finish(&[])?;
    }
    if let Some(text) = reader.text("edited")? {
        let choices = [("stop", Edited::Stop), ("take", Edited::Take), ("keep", Edited::Keep)];
        rules.edited = text.one_of(&choices)?;
    }
    if let Some(text) = reader.text("extra")? {
        rules.extra = text.one_of(&[("keep", Extra::Keep), ("stop", Extra::Stop)])?;
    }
    only_empty(&mut reader, "after_commit_delete")?;
    only_empty(&mut reader, "merge")?;
    only_empty(&mut reader, "semantic")?;
    reader.finish(&["perms"])?;
    Ok(rules)
}

pub(super) fn runtime(top: &mut Reader<'_>, known: &Declared) -> Result<Runtime, ProfileError> {
    let Some(mut reader) = top.table("runtime")? else { return Ok(Runtime::default()) };
    let run_as = reader.table("run_as")?.map(|run_as| account(run_as, known)).transpose()?;
    reader.finish(&["php", "ext"])?;
    Ok(Runtime { run_as })
}

fn account(mut reader: Reader<'_>, known: &Declared) -> Result<RunAs, ProfileError> {
    let run_as = if let Some(file) = reader.text("owner_of")? {
        RunAs::OwnerOf(known.template(file)?)
    } else {
        let names = reader.texts("first_of")?;
        if let Some(root) = names.iter().find(|name| name.text == "root") {
            return Err(root.error("an application's commands never run as root"));
        }
        if names.is_empty() {
            return Err(reader.error("run_as needs owner_of or first_of"));
        }
        RunAs::FirstOf(names.iter().map(|name| name.text.to_owned()).collect())
    };
    reader.finish(&[])?;
    Ok(run_as)
}

pub(super) fn path(top: &mut Reader<'_>) -> Result<PathRule, ProfileError> {
    let Some(mut reader) = top.table("path")? else { return Ok(PathRule::SameMajor) };
    let rule = reader.text("rule")?.map_or(Ok(PathRule::SameMajor), |text| {
        if text.text == "from-release" {
            return Err(super::reader::not_supported(text.place, "rule = \"from-release\""));
        }
        text.one_of(&[
            ("any", PathRule::Any),
            ("same-major", PathRule::SameMajor),
            ("next-major", PathRule::NextMajor),
        ])
    })?;
    only_empty(&mut reader, "waypoints")?;
    reader.finish(&["from_release"])?;
    Ok(rule)
}

pub(super) fn quiesce(top: &mut Reader<'_>) -> Result<Quiesce, ProfileError> {
    let Some(mut reader) = top.table("quiesce")? else { return Ok(Quiesce::default()) };
    let units = super::steps::units(&mut reader)?;
    only_empty(&mut reader, "cron")?;
    reader.finish(&[])?;
    Ok(Quiesce { units })
}
