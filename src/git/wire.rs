//! The Git protocol over whatever carries it: who are you, what have you got, give me that.

use std::io::{BufRead, Read};
use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;

use gix_error::Error as GixError;
use gix_hash::ObjectId;
use gix_protocol::fetch::negotiate::{Action, Round, one_round};
use gix_protocol::fetch::{Arguments, Context, Negotiate, Options, Response, Shallow, Tags};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{Handshake, LsRefsCommand};
use gix_transport::client::blocking_io::Transport;
use gix_transport::{Protocol, Service};
use gix_utils::progress::Discard;

use super::credential::Credential;
use super::error::{Cause, Error, Result};
use super::faults::Watch;
use super::limits;
use super::listing::{Head, Listing};
use super::store::Store;
use super::tree::Holder as _;

/// How much history a fetch brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All that is not here, from the commits that are.
    Onwards,
    /// The commit alone.
    Alone,
    /// The commit and those before it, so many in a row.
    Past(NonZeroU32),
}

/// One conversation with a remote: a handshake, then any number of questions.
pub(super) struct Session {
    transport: Box<dyn Transport>,
    handshake: Handshake,
    watch: Watch,
    credential: Credential,
    ended: bool,
}

impl Session {
    /// Shakes hands over `transport`.
    pub(super) fn open(
        mut transport: Box<dyn Transport>,
        watch: Watch,
        credential: &Credential,
    ) -> Result<Self> {
        let handshake = gix_protocol::handshake(
            &mut transport,
            Service::UploadPack,
            // Credentials went out with the request; there are no others to try.
            |_| Ok(None),
            Vec::new(),
            &mut Discard,
        )
        .map_err(|error| reason(&watch, credential, &error))?;
        let this = Self {
            transport,
            handshake,
            watch,
            credential: credential.clone(),
            ended: false,
        };
        let format = this.handshake.capabilities.capability("object-format");
        let format = format.and_then(|format| format.value().map(ToString::to_string));
        if format.is_some_and(|format| format != "sha1") {
            let (doing, remote) = this.watch.place();
            return Err(Error::Unsupported {
                doing,
                remote,
                what: "a SHA-256 repository",
            });
        }
        Ok(this)
    }

    /// What the remote has under `prefixes`, and its `HEAD`; everything, if there are none.
    pub(super) fn list(&mut self, prefixes: &[String]) -> Result<Listing> {
        let mut listing = Listing::default();
        let references = match self.handshake.refs.clone() {
            // Old servers tell all of them in the handshake.
            Some(references) => {
                listing.set_complete();
                references
            }
            None => {
                let mut wanted = RefPrefixes::new();
                wanted.extend(std::iter::once("HEAD".into()));
                wanted.extend(prefixes.iter().map(|prefix| prefix.as_str().into()));
                if prefixes.is_empty() {
                    listing.set_complete();
                }
                LsRefsCommand::new(
                    (!prefixes.is_empty()).then_some(wanted),
                    &self.handshake.capabilities,
                    agent(),
                )
                .invoke_blocking(&mut self.transport, &mut Discard, false)
                .map_err(|error| reason(&self.watch, &self.credential, &error))?
            }
        };
        for reference in references {
            add(&mut listing, reference);
        }
        Ok(listing)
    }

    /// Brings `wants` into `store` with what they need; returns the bytes received.
    pub(super) fn fetch(
        &mut self,
        store: &Store,
        wants: &[ObjectId],
        depth: Depth,
        limit: u64,
    ) -> Result<u64> {
        self.watch.fetching(limit);
        let haves = store.haves()?;
        let shallow = match depth {
            Depth::Alone if self.can_be_shallow() => Shallow::DepthAtRemote(NonZeroU32::MIN),
            Depth::Past(depth) if self.can_be_shallow() => Shallow::DepthAtRemote(depth),
            _ => Shallow::NoChange,
        };
        let stop = AtomicBool::new(false);
        let watch = self.watch.clone();
        gix_protocol::fetch(
            &mut Known {
                wants,
                haves: &haves,
            },
            |pack, _, _| keep_pack(pack, store, &watch),
            Discard,
            &stop,
            Context {
                handshake: &mut self.handshake,
                transport: &mut self.transport,
                user_agent: agent(),
                trace_packetlines: false,
            },
            Options {
                shallow_file: store.shallow_file(),
                shallow: &shallow,
                tags: Tags::None,
                reject_shallow_remote: false,
            },
        )
        .map_err(|error| reason(&self.watch, &self.credential, &error))?;
        Ok(self.watch.received())
    }

    /// Whether more can be asked after a fetch.
    pub(super) fn takes_more(&self) -> bool {
        self.handshake.server_protocol_version == Protocol::V2
    }

    fn can_be_shallow(&self) -> bool {
        let capabilities = &self.handshake.capabilities;
        match self.handshake.server_protocol_version {
            Protocol::V2 => capabilities
                .capability("fetch")
                .and_then(|fetch| fetch.supports("shallow"))
                .unwrap_or(false),
            _ => capabilities.contains("shallow"),
        }
    }

    /// Says goodbye, so that the server need not find out.
    fn end(&mut self) {
        if !self.ended
            && self
                .transport
                .connection_persists_across_multiple_requests()
        {
            self.ended = true;
            // The connection is given up either way.
            let _ = gix_protocol::indicate_end_of_interaction(&mut self.transport, false);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn agent() -> gix_protocol::command::Feature {
    (
        "agent",
        Some(concat!("git/towline-", env!("CARGO_PKG_VERSION")).into()),
    )
}

fn add(listing: &mut Listing, reference: Ref) {
    let (name, object) = match reference {
        Ref::Peeled {
            full_ref_name,
            object,
            ..
        }
        | Ref::Direct {
            full_ref_name,
            object,
        } => {
            if full_ref_name == "HEAD" {
                listing.set_head(Head::Detached(object));
                return;
            }
            (full_ref_name, object)
        }
        Ref::Symbolic {
            full_ref_name,
            target,
            object,
            ..
        } => {
            if full_ref_name == "HEAD" {
                listing.set_head(Head::Branch(target.to_string(), object));
                return;
            }
            (full_ref_name, object)
        }
        Ref::Unborn { full_ref_name, .. } => {
            if full_ref_name == "HEAD" {
                listing.set_head(Head::Unborn);
            }
            return;
        }
    };
    // A name that is not text is none that anyone can ask for.
    if let Ok(name) = std::str::from_utf8(&name) {
        listing.insert(name, object);
    }
}

/// A negotiation in one round: what we want, what we have, done. The server answers with a pack
/// at once, whatever of ours it knows.
struct Known<'a> {
    wants: &'a [ObjectId],
    haves: &'a [ObjectId],
}

impl Negotiate for Known<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix_error::Result<Action> {
        Ok(Action::MustNegotiate {
            remote_ref_target_known: Vec::new(),
        })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _known: &[bool]) -> bool {
        for want in self.wants {
            arguments.want(want);
        }
        !self.wants.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut one_round::State,
        arguments: &mut Arguments,
        _previous: Option<&Response>,
    ) -> gix_error::Result<(Round, bool)> {
        for have in self.haves {
            arguments.have(have);
        }
        let round = Round {
            haves_sent: self.haves.len(),
            in_vain: 0,
            haves_to_send: self.haves.len(),
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

/// Writes the pack that comes in, checked and indexed, into `store`.
fn keep_pack(pack: &mut dyn BufRead, store: &Store, watch: &Watch) -> gix_error::Result<bool> {
    let mut pack = std::io::BufReader::new(Bounded { pack, watch });
    let outcome = gix_pack::Bundle::write_to_directory(
        &mut pack,
        Some(&store.packs()),
        &mut Discard,
        &AtomicBool::new(false),
        Some(store.objects().reader()),
        gix_hash::Kind::Sha1,
        gix_pack::bundle::write::Options {
            thread_limit: Some(limits::PACK_THREADS),
            alloc_limit_bytes: Some(limits::MAX_OBJECT_BYTES),
            ..Default::default()
        },
    )?;
    if outcome.index_path.is_some() {
        store.count_pack();
    }
    if let Some(keep) = outcome.keep_path {
        // It guards against a garbage collector, which the cache has none of.
        let _ = std::fs::remove_file(keep);
    }
    Ok(true)
}

/// A pack whose reading stops at the deadline, also between two bytes of a patient server.
struct Bounded<'a> {
    pack: &'a mut dyn BufRead,
    watch: &'a Watch,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.watch.count(0)?;
        self.pack.read(out)
    }
}

/// Why something failed: what the transport noted, else what the server said, else what the
/// protocol code says.
pub(super) fn reason(watch: &Watch, credential: &Credential, error: &GixError) -> Error {
    if let Some(fault) = watch.take() {
        return fault;
    }
    let text = credential.scrub(&Cause::of(error).to_string());
    let cause = Cause::new(&text);
    let (doing, remote) = watch.place();
    let said = text.to_ascii_lowercase();
    if said.contains("not our ref") || said.contains("unadvertised object") {
        let why = "the server does not have the commit (any more), or does not give it out by \
                   its hash; name a branch or tag"
            .to_owned();
        return Error::RevisionNotFound { doing, remote, why };
    }
    if said.contains("repository not found") || said.contains("does not appear to be a git") {
        return Error::RepositoryNotFound { doing, remote };
    }
    let broke = error.iter_errors().any(|error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| {
            use std::io::ErrorKind as E;
            matches!(
                error.kind(),
                E::UnexpectedEof
                    | E::BrokenPipe
                    | E::ConnectionReset
                    | E::ConnectionAborted
                    | E::ConnectionRefused
                    | E::TimedOut
            )
        })
    });
    if broke {
        return Error::Unreachable {
            doing,
            remote,
            cause,
        };
    }
    Error::Protocol {
        doing,
        remote,
        cause,
    }
}
