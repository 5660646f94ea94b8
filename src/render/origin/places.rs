//! Which line asks for a value: of the kustomization, of a patch, or of what a generator reads.

use super::Leaf;
use crate::render::Source;
use crate::render::build::Layer;
use crate::render::decode::Step;
use crate::render::generators::GeneratorArgs;
use crate::render::image_name::ImageRule;
use crate::render::kustomization::PatchEntry;
use crate::render::load::Loader;
use crate::render::transform;

/// Of a file with objects: the line is where it stands.
pub(in crate::render) fn of_file(path: &str) -> impl Fn(&Leaf, Option<&str>) -> Source + '_ {
    move |leaf, _| Source {
        path: path.to_owned(),
        line: (leaf.line > 0).then_some(leaf.line),
    }
}

/// Of something at the end of the build: names with a hash, references, variables.
pub(in crate::render) fn of_build(path: &str) -> impl Fn(&Leaf, Option<&str>) -> Source + '_ {
    move |_, _| Source {
        path: path.to_owned(),
        line: None,
    }
}

/// Of a transformer: the line of the kustomization that asks for the value, or of the patch.
pub(in crate::render) fn of_step(
    layer: &Layer<'_>,
    step: &transform::Step,
    leaf: &Leaf,
    before: Option<&str>,
) -> Source {
    let file = &layer.file;
    let key = |name: &str| Step::Key(name.into());
    let entry = |index: usize, names: &[&str]| {
        let mut place = vec![key(step.field), Step::Index(index)];
        place.extend(names.iter().map(|name| key(name)));
        at(layer, &place)
    };
    match (step.field, step.index) {
        ("patches", Some(index)) => of_patch(layer, step.field, index, leaf, &file.patches),
        ("patchesJson6902", Some(index)) => {
            of_patch(layer, step.field, index, leaf, &file.patches_json6902)
        }
        ("patchesStrategicMerge", _) => {
            let patches = file.patches_strategic_merge.iter().rev();
            let found = patches.filter_map(|path| in_file(&layer.loader, path, leaf));
            let mut found = found.filter(|source| source.line.is_some());
            found
                .next()
                .unwrap_or_else(|| layer.source(step.field, None))
        }
        ("images", _) => of_image(layer, leaf, before),
        ("replicas", Some(index)) => entry(index, &["count"]),
        ("labels", Some(index)) => entry(index, &["pairs", leaf.key()]),
        ("commonLabels" | "commonAnnotations", _) => at(layer, &[key(step.field), key(leaf.key())]),
        (field, index) => layer.source(field, index),
    }
}

/// A place in the kustomization; of the nearest thing above it where it is not there.
fn at(layer: &Layer<'_>, place: &[Step]) -> Source {
    let line = layer.file.line_at(place);
    Source {
        path: layer.file.path.clone(),
        line: (line > 0).then_some(line),
    }
}

fn of_patch(
    layer: &Layer<'_>,
    field: &'static str,
    index: usize,
    leaf: &Leaf,
    entries: &[PatchEntry],
) -> Source {
    let whole = || layer.source(field, Some(index));
    let Some(entry) = entries.get(index) else {
        return whole();
    };
    if !entry.path.is_empty() {
        return in_file(&layer.loader, &entry.path, leaf).unwrap_or_else(whole);
    }
    // Inside of a block the lines go on from that of its key.
    let begin = at(
        layer,
        &[
            Step::Key(field.into()),
            Step::Index(index),
            Step::Key("patch".into()),
        ],
    );
    let inner = locate(&entry.patch, leaf);
    Source {
        line: begin
            .line
            .zip(inner)
            .map(|(begin, inner)| begin + inner)
            .or(begin.line),
        path: begin.path,
    }
}

/// The line of a patch file on which the value stands; the file alone where that is not clear.
fn in_file(loader: &Loader<'_>, path: &str, leaf: &Leaf) -> Option<Source> {
    let bytes = loader.peek(path)?;
    let text = String::from_utf8_lossy(&bytes);
    Some(Source {
        path: loader.resolve_name(path),
        line: locate(&text, leaf),
    })
}

/// The rule of `images` that made this image out of the one before: the last that changed it.
fn of_image(layer: &Layer<'_>, leaf: &Leaf, before: Option<&str>) -> Source {
    let whole = || layer.source("images", None);
    let (Some(before), rules) = (before, &layer.file.images) else {
        return whole();
    };
    let mut image = before.to_owned();
    let mut found = None;
    for (index, change) in rules.iter().enumerate() {
        let rule = ImageRule::new(change.clone()).ok();
        if let Some(next) = rule.and_then(|rule| rule.apply(&image)) {
            if next != image {
                found = Some((index, change));
            }
            image = next;
        }
    }
    let Some((index, change)) = found.filter(|_| image == leaf.text) else {
        return whole();
    };
    // Of name and tag in one entry the tag is what changes.
    let part = [
        ("digest", &change.digest),
        ("newTag", &change.new_tag),
        ("tagSuffix", &change.tag_suffix),
        ("newName", &change.new_name),
    ];
    let part = part.iter().find(|(_, text)| !text.is_empty());
    let mut place = vec![Step::Key("images".into()), Step::Index(index)];
    place.extend(part.map(|(name, _)| Step::Key((*name).into())));
    at(layer, &place)
}

/// Of a generator: the literal, the file, or the entry.
pub(in crate::render) fn of_generator(
    layer: &Layer<'_>,
    field: &'static str,
    index: usize,
    args: &GeneratorArgs,
    leaf: &Leaf,
) -> Source {
    let entry = |names: &[Step]| {
        let place = [Step::Key(field.into()), Step::Index(index)];
        at(
            layer,
            &place
                .into_iter()
                .chain(names.iter().cloned())
                .collect::<Vec<_>>(),
        )
    };
    let name = leaf.key();
    if let [data, _] = leaf.path.as_slice()
        && matches!(data.as_str(), "data" | "binaryData")
    {
        let begins = |text: &str| {
            text.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        let literals = &args.sources.literals;
        if let Some(number) = literals.iter().rposition(|text| begins(text)) {
            return entry(&[Step::Key("literals".into()), Step::Index(number)]);
        }
        for file in &args.sources.files {
            let (key, path) = match file.split_once('=') {
                Some((key, path)) => (key, path),
                None => (file.rsplit('/').next().unwrap_or(file), file.as_str()),
            };
            if key == name {
                let path = layer.loader.resolve_name(path);
                return Source { path, line: None };
            }
        }
        for path in &args.sources.envs {
            let text = layer.loader.peek(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = text.lines().position(|line| begins(line.trim_start()));
            if let Some(line) = line {
                return Source {
                    path: layer.loader.resolve_name(path),
                    line: u32::try_from(line + 1).ok(),
                };
            }
        }
    }
    let place: &[&str] = match leaf.path.first().map(String::as_str) {
        Some("metadata") if leaf.path.len() == 2 => &["name"],
        Some("metadata") => &["options"],
        _ => &[],
    };
    let place: Vec<Step> = place.iter().map(|name| Step::Key((*name).into())).collect();
    entry(&place)
}

/// The line of a text on which a field with this value stands: the one it was read from, or the
/// only one that fits. Texts may repeat themselves, and nothing is guessed.
pub(super) fn locate(text: &str, leaf: &Leaf) -> Option<u32> {
    let first = leaf.text.lines().next().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let has_value = |line: &str| first.is_empty() || line.contains(first);
    let has_key = |line: &str| line.contains(leaf.key());
    let read = usize::try_from(leaf.line).ok()?;
    if read > 0
        && lines
            .get(read - 1)
            .is_some_and(|line| has_key(line) || has_value(line))
    {
        return Some(leaf.line);
    }
    let only = |fits: &dyn Fn(&str) -> bool| {
        let mut found = (1..).zip(&lines).filter(|(_, line)| fits(line));
        match (found.next(), found.next()) {
            (Some((number, _)), None) => Some(number),
            _ => None,
        }
    };
    only(&|line| has_key(line) && has_value(line))
        .or_else(|| only(&|line| !first.is_empty() && has_value(line)))
}
