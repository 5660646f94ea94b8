//! The accepted objects as they are stored, so that healing goes on after a restart without Git.
//!
//! Objects are spread over chunks by the hash of their id, so that a change of one object changes
//! one chunk. A chunk is named by what is in it and never changes; an index names the chunks that
//! count. Everything is compressed JSON lines with the version of the format in front.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::RevisionId;
use crate::desired::DesiredObject;
use crate::error::{Class, Fault};
use crate::object::{Object, ObjectId, keys};
use crate::render::{Generated, RenderedObject, Source};

/// The format below. A newer agent reads every older one; an older one refuses a newer one.
const FORMAT: &str = "1";
/// The first word of everything that is stored.
const NAME: &str = "towline-last-good ";
/// The most that a chunk may inflate to: an object that etcd can hold, with room for escapes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// How many hex digits of a sha256 name a chunk.
const DIGITS: usize = 32;

/// Why accepted objects are not stored, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LastGoodError {
    /// More than is stored for one Application.
    #[error(
        "{what} take {bytes} bytes compressed, more than the {limit} that are stored; after a \
         restart drift is only undone once Git is read (split the Application)"
    )]
    TooLarge {
        /// An object, or all of them.
        what: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// It is there, and cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// A newer agent wrote it.
    #[error("format {0} is newer than this agent; upgrade it")]
    Newer(String),
}

impl Fault for LastGoodError {
    fn class(&self) -> Class {
        Class::Stalled
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "LastGoodTooLarge",
            Self::Unreadable(_) | Self::Newer(_) => "LastGoodUnreadable",
        }
    }
}

/// How much is stored, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a chunk before compression; only a single object may be larger. A commit that changes
    /// one object rewrites one chunk, so smaller is cheaper.
    pub chunk: usize,
    /// Of a compressed chunk: just below what the API server takes as a Secret.
    pub secret: usize,
    /// Of all compressed chunks of an Application. Some 80,000 usual manifests; what is more would
    /// be felt by etcd, and by everybody who caches Secrets.
    pub total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: 512 * 1024,
            secret: 1000 * 1024,
            total: 16 * 1024 * 1024,
        }
    }
}

/// One accepted object, without towline's marks: as much of it as cannot be found out again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its content; see [`crate::desired::content_hash`].
    pub hash: u64,
    /// The mark of the commit on the live object when this was stored; empty where none was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Its file in the repository.
    path: String,
    /// The line in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// The base name of a generated ConfigMap or Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generated: Option<String>,
    /// The object.
    object: Value,
}

impl Accepted {
    /// What is stored of an object.
    fn of(object: &DesiredObject, revision: &str) -> Self {
        let (path, line) = match object.place.rsplit_once(':') {
            Some((path, line)) if line.parse::<u32>().is_ok() => (path, line.parse().ok()),
            _ => (object.place.as_str(), None),
        };
        Self {
            hash: object.hash,
            revision: revision.into(),
            path: path.into(),
            line,
            generated: object.generated.clone(),
            object: unmarked(object.object()),
        }
    }

    /// The object as a render gives it: everything else is made of that again.
    pub fn rendered(self) -> RenderedObject {
        RenderedObject {
            value: self.object,
            source: Source {
                path: self.path,
                line: self.line,
            },
            generated: self.generated.map(|base_name| Generated { base_name }),
        }
    }
}

/// An object without the marks that [`crate::desired::build`] puts in.
fn unmarked(object: Object) -> Value {
    let mut value = object.0;
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return value;
    };
    for (field, marks) in [
        ("labels", &[keys::APPLICATION_LABEL][..]),
        ("annotations", &[keys::TRACKING_ID, keys::SOURCE]),
    ] {
        let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        for mark in marks {
            map.remove(*mark);
        }
        if map.is_empty() {
            metadata.remove(field);
        }
    }
    value
}

/// A stored chunk, as the index names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// What is in it: hex digits of a sha256.
    pub digest: String,
    /// How many bytes it has, compressed.
    pub bytes: usize,
}

/// What an index names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The accepted objects.
    pub accepted: Vec<Chunk>,
    /// The revision that is gone back to.
    pub good: Option<GoodChunks>,
}

impl Index {
    /// Every chunk, by digest.
    pub fn all(&self) -> BTreeMap<String, Chunk> {
        let good = self.good.iter().flat_map(|good| &good.chunks);
        let all = self.accepted.iter().chain(good);
        all.map(|chunk| (chunk.digest.clone(), chunk.clone()))
            .collect()
    }
}

/// The objects of the revision that is gone back to. Most chunks are those of the accepted one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoodChunks {
    /// Which revision.
    pub id: RevisionId,
    /// Its objects.
    pub chunks: Vec<Chunk>,
}

/// A line of an index. What follows [`Line::Good`] is of the revision that is gone back to.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Good { good: RevisionId },
    Chunk(Chunk),
}

/// Chunks of objects, and the bytes of those that are not stored yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// In the order of the objects in them.
    pub chunks: Vec<Chunk>,
    /// The revision that is gone back to.
    pub good: Option<GoodChunks>,
    /// By digest.
    pub new: BTreeMap<String, Vec<u8>>,
}

/// Spreads objects over chunks; those in `stored`, by digest, need not be stored again. With each
/// object comes the mark of the commit on the live one.
///
/// # Errors
/// [`LastGoodError::TooLarge`] when they are more than `limits` allow.
pub fn layout(
    objects: &[(&DesiredObject, &str)],
    stored: &BTreeMap<String, Chunk>,
    limits: Limits,
) -> Result<Layout, LastGoodError> {
    let mut places: Vec<Place<'_>> = objects
        .iter()
        .map(|(object, revision)| Place {
            bits: bits(&object.id),
            bytes: line(object, revision).len(),
            object,
            revision,
        })
        .collect();
    places.sort_by(|a, b| (a.bits, &a.object.id).cmp(&(b.bits, &b.object.id)));
    let mut layout = Layout::default();
    let mut total = 0;
    for places in split(&places, 0, limits.chunk) {
        let mut text = format!("{NAME}{FORMAT}\n");
        for place in places {
            text.push_str(&line(place.object, place.revision));
        }
        let digest = digest(&text);
        let chunk = match stored.get(&digest) {
            Some(chunk) => chunk.clone(),
            None => {
                let bytes = compress(&text);
                let chunk = Chunk {
                    digest: digest.clone(),
                    bytes: bytes.len(),
                };
                layout.new.insert(digest, bytes);
                chunk
            }
        };
        if chunk.bytes > limits.secret {
            let what = places.first().map(|place| place.object.id.to_string());
            return Err(LastGoodError::TooLarge {
                what: format!("the fields of {}", what.unwrap_or_default()),
                bytes: chunk.bytes,
                limit: limits.secret,
            });
        }
        total += chunk.bytes;
        layout.chunks.push(chunk);
    }
    if total > limits.total {
        return Err(LastGoodError::TooLarge {
            what: "the accepted objects".into(),
            bytes: total,
            limit: limits.total,
        });
    }
    Ok(layout)
}

/// Where an object is, and how long its line is.
struct Place<'a> {
    bits: u32,
    bytes: usize,
    object: &'a DesiredObject,
    revision: &'a str,
}

/// The first bits of the hash of an id: they decide which chunk it is in, whatever else there is.
fn bits(id: &ObjectId) -> u32 {
    let hash = Sha256::digest(id.tracking());
    u32::from_be_bytes(hash[..4].try_into().expect("a sha256 has 32 bytes"))
}

/// Halves what is too large for one chunk by the next bit: an object that comes or grows divides
/// the chunk it is in, and touches no other.
fn split<'a, 'b>(places: &'b [Place<'a>], depth: u32, chunk: usize) -> Vec<&'b [Place<'a>]> {
    let bytes: usize = places.iter().map(|place| place.bytes).sum();
    if bytes <= chunk || places.len() < 2 || depth == u32::BITS {
        return if places.is_empty() {
            Vec::new()
        } else {
            vec![places]
        };
    }
    let mask = 1 << (u32::BITS - 1 - depth);
    let (low, high) = places.split_at(places.partition_point(|place| place.bits & mask == 0));
    let mut parts = split(low, depth + 1, chunk);
    parts.extend(split(high, depth + 1, chunk));
    parts
}

fn line(object: &DesiredObject, revision: &str) -> String {
    let accepted = Accepted::of(object, revision);
    serde_json::to_string(&accepted).expect("an object is plain JSON") + "\n"
}

fn digest(text: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(text));
    digest.truncate(DIGITS);
    digest
}

fn compress(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes())
        .expect("a Vec takes every byte");
    gzip.finish().expect("a Vec takes every byte")
}

impl Layout {
    /// Adds the objects of the revision that is gone back to.
    ///
    /// # Errors
    /// As [`layout`].
    pub fn with_good(
        mut self,
        id: RevisionId,
        objects: &[(&DesiredObject, &str)],
        stored: &BTreeMap<String, Chunk>,
        limits: Limits,
    ) -> Result<Self, LastGoodError> {
        let mut known = stored.clone();
        known.extend(self.chunks.iter().map(|c| (c.digest.clone(), c.clone())));
        let good = layout(objects, &known, limits)?;
        self.new.extend(good.new);
        self.good = Some(GoodChunks {
            id,
            chunks: good.chunks,
        });
        Ok(self)
    }

    /// What the index says of it.
    pub fn index(&self) -> Index {
        Index {
            accepted: self.chunks.clone(),
            good: self.good.clone(),
        }
    }
}

/// The bytes of the index.
pub fn encode_index(index: &Index) -> Vec<u8> {
    let accepted = index.accepted.iter().cloned().map(Line::Chunk);
    let good = index.good.iter().flat_map(|good| {
        let id = Line::Good {
            good: good.id.clone(),
        };
        std::iter::once(id).chain(good.chunks.iter().cloned().map(Line::Chunk))
    });
    let mut text = format!("{NAME}{FORMAT}\n");
    for line in accepted.chain(good) {
        text.push_str(&serde_json::to_string(&line).expect("a chunk is plain JSON"));
        text.push('\n');
    }
    compress(&text)
}

/// What an index names.
///
/// # Errors
/// When the bytes are no index, or one of a newer format.
pub fn decode_index(bytes: &[u8]) -> Result<Index, LastGoodError> {
    let mut index = Index::default();
    for line in lines(&inflate(bytes)?)? {
        match (line, &mut index.good) {
            (Line::Good { good: id }, good) => {
                *good = Some(GoodChunks {
                    id,
                    chunks: Vec::new(),
                });
            }
            (Line::Chunk(chunk), Some(good)) => good.chunks.push(chunk),
            (Line::Chunk(chunk), None) => index.accepted.push(chunk),
        }
    }
    Ok(index)
}

/// The objects in a chunk.
///
/// # Errors
/// When the bytes are not what `digest` names, or of a newer format.
pub fn decode(bytes: &[u8], digest: &str) -> Result<Vec<Accepted>, LastGoodError> {
    let text = inflate(bytes)?;
    if self::digest(&text) != digest {
        return Err(LastGoodError::Unreadable(
            "it does not hold what it is named after".into(),
        ));
    }
    lines(&text)
}

fn inflate(bytes: &[u8]) -> Result<String, LastGoodError> {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| LastGoodError::Unreadable(format!("it does not decompress: {e}")))?;
    match text.lines().next().and_then(|head| head.strip_prefix(NAME)) {
        Some(FORMAT) => Ok(text),
        Some(newer) => Err(LastGoodError::Newer(newer.chars().take(20).collect())),
        None => Err(LastGoodError::Unreadable(
            "it does not begin with its format".into(),
        )),
    }
}

/// Every line behind the head. An error says where and not what: a line may hold a Secret.
fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>, LastGoodError> {
    text.lines()
        .enumerate()
        .skip(1)
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|_| {
                LastGoodError::Unreadable(format!("its line {} is broken", number + 1))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
