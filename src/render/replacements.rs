//! `replacements`: a value from a field of one object, or a literal one, into fields of others.

use super::Transformer;
use super::context::Context;
use super::decode::{Decoder, Strictness};
use super::error::{Error, Reason, Result};
use super::field_path::{Create, lookup, split, visit};
use super::fields::{is_empty, tag, text};
use super::identity::{Identity, is_selected};
use super::kustomization::{
    FieldOptions, ReplacementEntry, ReplacementSource, ReplacementTarget, misfits, yaml_error,
};
use super::load::Loader;
use super::meter::{Meter, NODE_BYTES, Size};
use super::patches::matches_maps;
use super::resource::Resource;
use super::resources::Resources;
use super::select::{Matcher, Selector, pattern_steps};
use super::sharing;
use super::structured;
use crate::object::Gvk;
use crate::yaml::limits::DEPTH;
use crate::yaml::{Duplicates, Node, Resolver, Scalar, View, read_first_document, resolve_view};

/// All replacements of one kustomization, in order.
#[derive(Debug)]
pub(super) struct Replacements(Vec<Replacement>);

#[derive(Debug)]
struct Replacement {
    source: Value,
    targets: Vec<Target>,
}

/// Where the value comes from.
#[derive(Debug)]
enum Value {
    Literal(String),
    Field {
        source: Box<ReplacementSource>,
        path: Vec<String>,
    },
}

#[derive(Debug)]
struct Target {
    select: Matcher,
    reject: Vec<(Selector, Matcher)>,
    paths: Vec<(String, Vec<String>)>,
    options: FieldOptions,
}

impl Replacements {
    /// From the entries of a kustomization; those with a `path` are read.
    ///
    /// # Errors
    /// On an entry without source or target, or with two of them.
    pub fn new(entries: &[ReplacementEntry], loader: &Loader<'_>) -> Result<Self> {
        let mut all = Vec::new();
        for entry in entries {
            if entry.path.is_empty() {
                all.push(Replacement::new(entry)?);
                continue;
            }
            let has_targets = entry
                .targets
                .as_ref()
                .is_some_and(|targets| !targets.is_empty());
            if entry.source.is_some() || has_targets {
                return Err(Error::failed(
                    "a replacement has both a `path` and its own fields",
                ));
            }
            let path = loader.resolve_name(&entry.path);
            for entry in read(&loader.read(&entry.path)?, &path)? {
                all.push(Replacement::new(&entry).map_err(|e| e.within(&path))?);
            }
        }
        Ok(Self(all))
    }
}

/// A file with one replacement or a list of them.
fn read(bytes: &[u8], path: &str) -> Result<Vec<ReplacementEntry>> {
    let root = read_first_document(bytes).map_err(|e| yaml_error(&e, path))?;
    let root = root.unwrap_or_else(Node::null);
    let view = resolve_view(&root, Resolver::Kubectl, Duplicates::LastWins)
        .map_err(|e| yaml_error(&e, path))?;
    let list = match view {
        list @ View::List(_) => list,
        one @ View::Map(_) => View::List(vec![one]),
        _ => return Err(Error::failed("the file holds no replacement").within(path)),
    };
    let document = View::Map(vec![("replacements".into(), list)]);
    let decoder = Decoder::new(Strictness::PLUGIN);
    let record = decoder.document(&document, "replacements");
    let entries = record.records("replacements", "replacement", ReplacementEntry::read);
    let mistakes = decoder.mistakes();
    if mistakes.is_empty() {
        Ok(entries)
    } else {
        Err(misfits(mistakes, &root, path))
    }
}

impl Replacement {
    fn new(entry: &ReplacementEntry) -> Result<Self> {
        let source = match (&entry.source, &entry.source_value) {
            (Some(_), Some(_)) => {
                return Err(Error::failed(
                    "a replacement has both `source` and `sourceValue`",
                ));
            }
            (None, Some(literal)) => Value::Literal(literal.clone()),
            (Some(source), None) => {
                let path = match source.field_path.as_str() {
                    "" => "metadata.name",
                    path => path,
                };
                Value::Field {
                    source: Box::new(source.clone()),
                    path: split(path)?,
                }
            }
            (None, None) => {
                return Err(Error::failed(
                    "a replacement has no `source` and no `sourceValue`",
                ));
            }
        };
        let Some(targets) = &entry.targets else {
            return Err(Error::failed("a replacement has no `targets`"));
        };
        let targets = targets.iter().map(Target::new).collect::<Result<_>>()?;
        Ok(Self { source, targets })
    }
}

impl Target {
    fn new(target: &ReplacementTarget) -> Result<Self> {
        let Some(select) = &target.select else {
            return Err(Error::failed("a target of a replacement has no `select`"));
        };
        let default = ["metadata.name".to_owned()];
        let paths = if target.field_paths.is_empty() {
            &default[..]
        } else {
            &target.field_paths[..]
        };
        let reject = target
            .reject
            .iter()
            .map(|r| Ok((r.clone(), Matcher::new(r)?)));
        Ok(Self {
            select: Matcher::new(select)?,
            reject: reject.collect::<Result<_>>()?,
            paths: paths
                .iter()
                .map(|p| Ok((p.clone(), split(p)?)))
                .collect::<Result<_>>()?,
            options: target.options.clone(),
        })
    }

    /// About what [`Target::matches`] takes.
    fn steps(&self, resource: &Resource) -> usize {
        let matchers = self.reject.iter().map(|(_, matcher)| matcher);
        let matchers = matchers.chain([&self.select]);
        matchers
            .map(|m| m.steps(resource.name(), resource.namespace()))
            .sum()
    }

    fn matches(&self, resource: &Resource) -> bool {
        let ids = ids(resource);
        matches_maps(&self.select, resource)
            && !self.reject.iter().any(|(selector, matcher)| {
                let by_map = !(selector.annotation_selector.is_empty()
                    && selector.label_selector.is_empty());
                (by_map && matches_maps(matcher, resource))
                    || (!selector.has_no_identity()
                        && ids.iter().any(|id| matcher.matches_identity(id)))
            })
            && ids.iter().any(|id| self.select.matches_identity(id))
    }
}

/// Present and past identities; here also cluster-scoped objects count as being in `default`.
fn ids(resource: &Resource) -> Vec<Identity> {
    let mut ids = vec![Identity {
        cluster_scoped: false,
        ..resource.id()
    }];
    ids.extend(resource.past_ids());
    ids
}

impl Transformer for Replacements {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        for replacement in &self.0 {
            let (mut value, source) = replacement.source.find(resources)?;
            for target in &replacement.targets {
                let places = match target.select.only_name() {
                    Some(name) => resources.with_any_name(name),
                    None => (0..resources.len()).collect(),
                };
                let steps = places.iter().map(|i| resources.get(*i)).map(|one| {
                    let ids = 1 + one.trail.past.len();
                    ids * target.steps(one)
                });
                context.meter.work(steps.sum())?;
                for index in places {
                    if target.matches(resources.get(index)) {
                        // a source that is a target as well has the new value for all that follow
                        let is_source = source == Some(index);
                        let at_once = if is_source { 1 } else { target.paths.len() };
                        for paths in target.paths.chunks(at_once.max(1)) {
                            resources.edit(index, |resource| {
                                copy(resource, &value, target, paths, &context.meter)
                            })?;
                            if let Some(now) = replacement
                                .source
                                .whole(resources.get(index))
                                .filter(|_| is_source)
                            {
                                value = now.clone();
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}

impl Value {
    /// The value as it is now in its object, where it is a whole field.
    fn whole<'a>(&self, resource: &'a Resource) -> Option<&'a Node> {
        match self {
            Self::Field { source, path } if source.options.delimiter.is_empty() => {
                lookup(&resource.object, path).ok().flatten()
            }
            _ => None,
        }
    }

    /// The value, and the object that it is of.
    fn find(&self, resources: &mut Resources) -> Result<(Node, Option<usize>)> {
        let (source, path) = match self {
            Self::Literal(text) => return Ok((Node::plain(text), None)),
            Self::Field { source, path } => (source, path),
        };
        let places = match source.selector.name.as_str() {
            "" => (0..resources.len()).collect(),
            name => resources.with_any_name(name),
        };
        let matching: Vec<usize> = places
            .into_iter()
            .filter(|i| {
                ids(resources.get(*i))
                    .iter()
                    .any(|id| is_source(id, &source.selector))
            })
            .collect();
        let printed = &source.selector;
        let index = match matching.as_slice() {
            [index] => *index,
            [] => {
                return Err(Error::failed(format!(
                    "the source of a replacement matches no object: {printed}"
                )));
            }
            _ => {
                return Err(Error::failed(format!(
                    "the source of a replacement matches {} objects: {printed}",
                    matching.len()
                ))
                .hint("a source must be one object: add kind, name or namespace"));
            }
        };
        let resource = resources.get(index);
        let field = path.join(".");
        let node = lookup(&resource.object, path).map_err(|e| e.about(resource.id()))?;
        let Some(node) = node.filter(|node| !is_empty(node)) else {
            return Err(
                Error::failed(format!("the field `{field}` of a replacement is missing"))
                    .about(resource.id()),
            );
        };
        let value = part(node, &source.options).map_err(|e| e.about(resource.id()))?;
        Ok((value, Some(index)))
    }
}

fn is_source(id: &Identity, selector: &Selector) -> bool {
    let gvk = Gvk::new(&selector.group, &selector.version, &selector.kind);
    (selector.name.is_empty() || selector.name == id.name)
        && (selector.namespace.is_empty() || selector.namespace == id.effective_namespace())
        && is_selected(&id.gvk, &gvk)
}

/// The part of a value that delimiter and index mean.
fn part(node: &Node, options: &FieldOptions) -> Result<Node> {
    if options.delimiter.is_empty() {
        return Ok(node.clone());
    }
    let Node::Scalar(scalar) = node else {
        return Err(Error::failed("`delimiter` needs a scalar"));
    };
    let mut parts = scalar.text.split(&options.delimiter);
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|i| parts.nth(i));
    match part {
        Some(part) => {
            let mut scalar = scalar.clone();
            scalar.set_text(part);
            Ok(scalar.into())
        }
        None => Err(Error::failed(format!(
            "`index` {} is out of bounds",
            options.index
        ))),
    }
}

fn copy(
    resource: &mut Resource,
    value: &Node,
    target: &Target,
    paths: &[(String, Vec<String>)],
    meter: &Meter,
) -> Result<()> {
    let id = resource.id();
    let size = Size::of_object(&resource.object);
    let added = Size::of(value);
    for (written, path) in paths {
        let queries = path.iter().filter(|part| part.contains('='));
        let queries = queries.map(|part| pattern_steps(part, size.text));
        meter.work(size.nodes + size.text / NODE_BYTES + queries.sum::<usize>())?;
        if path.len() + added.depth > DEPTH {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("a replacement nests deeper than the limit of {DEPTH} levels"),
            )
            .hint(format!("in the field path `{written}` of a replacement"))
            .about(&id));
        }
    }
    let grow = |node: &Node| {
        let old = node.as_scalar().map_or(0, |scalar| scalar.text.len());
        meter.grow(added.bytes() + old + NODE_BYTES)
    };
    let create = target.options.create.then(|| Create::like(value));
    let mut root = Node::Mapping(std::mem::take(&mut resource.object));
    let mut result = Ok(());
    for (written, path) in paths {
        result = copy_one(&mut root, value, path, create, &target.options, &grow).map_err(|e| {
            e.hint(format!("in the field path `{written}` of a replacement"))
                .about(&id)
        });
        if result.is_err() {
            break;
        }
    }
    if let Node::Mapping(object) = root {
        resource.object = object;
    }
    result
}

fn copy_one(
    root: &mut Node,
    value: &Node,
    path: &[String],
    create: Option<Create>,
    options: &FieldOptions,
    grow: &dyn Fn(&Node) -> Result<()>,
) -> Result<()> {
    if structured::set(root, value, path, create, grow)? {
        return Ok(());
    }
    let mut changed = Vec::new();
    let count = visit(root, path, create, &mut |node| {
        grow(node)?;
        set(node, value, options)?;
        changed.extend(node.as_scalar().filter(|s| s.shared != 0).cloned());
        Ok(())
    })?;
    if let Node::Mapping(object) = root {
        sharing::follow(object, &changed);
    }
    if count == 0 {
        return Err(
            Error::failed("there is no such field in the target of a replacement")
                .hint("set `options: {create: true}` to make it"),
        );
    }
    Ok(())
}

/// Sets one field. A scalar keeps its type; anything else is replaced.
fn set(node: &mut Node, value: &Node, options: &FieldOptions) -> Result<()> {
    let Node::Scalar(field) = node else {
        if options.delimiter.is_empty() {
            *node = value.clone();
            sharing::unshare(node);
            return Ok(());
        }
        return Err(Error::failed("`delimiter` needs a scalar in the target"));
    };
    let mut new = raw_text(value).to_owned();
    if !options.delimiter.is_empty() {
        let mut parts: Vec<&str> = field.text.split(&options.delimiter).collect();
        let piece = text(value);
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, piece),
            Ok(index) if index >= parts.len() => parts.push(piece),
            Ok(index) => parts[index] = piece,
        }
        new = parts.join(&options.delimiter);
    }
    set_keeping_type(field, new);
    Ok(())
}

/// The text of a scalar, also of null; empty for lists and mappings.
fn raw_text(node: &Node) -> &str {
    node.as_scalar().map_or("", |scalar| scalar.text.as_str())
}

/// Sets the text and leaves the type: text in a field with a number fails when it is printed.
fn set_keeping_type(field: &mut Scalar, text: String) {
    let is_new = field.line == 0 && field.text.is_empty() && field.tag().is_none();
    let old = tag(field);
    field.set_text(&text);
    if !is_new && tag(field) != old {
        field.set_tag(Some(old));
    }
}
