//! A pack: how objects travel to a server. Nothing in it is a delta: a revert is a handful of small
//! objects, and one that stands for itself cannot be misread.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix_object::Kind;
use sha1::{Digest as _, Sha1};

/// One object: what it is, and its bytes.
pub(super) type Item = (Kind, Vec<u8>);

/// The pack of `items`.
///
/// # Errors
/// None that memory gives; the compressor's interface has them.
pub(super) fn pack(items: &[Item]) -> std::io::Result<Vec<u8>> {
    let mut out = b"PACK".to_vec();
    out.extend(2_u32.to_be_bytes());
    let count = u32::try_from(items.len()).map_err(std::io::Error::other)?;
    out.extend(count.to_be_bytes());
    for (kind, bytes) in items {
        head(&mut out, *kind, bytes.len());
        let mut zlib = ZlibEncoder::new(&mut out, Compression::default());
        zlib.write_all(bytes)?;
        zlib.finish()?;
    }
    let hash = Sha1::digest(&out);
    out.extend_from_slice(&hash);
    Ok(out)
}

/// Kind and size of an object: four bits of the size beside the kind, then seven in each byte, the
/// lowest first.
fn head(out: &mut Vec<u8>, kind: Kind, size: usize) {
    let number: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut rest = size >> 4;
    let low = |bits: usize, mask: usize| u8::try_from(bits & mask).unwrap_or_default();
    let more = |rest: usize| if rest > 0 { 0x80 } else { 0 };
    out.push(more(rest) | (number << 4) | low(size, 0x0f));
    while rest > 0 {
        let bits = low(rest, 0x7f);
        rest >>= 7;
        out.push(more(rest) | bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_git_reads_them() {
        let of = |size| {
            let mut out = Vec::new();
            head(&mut out, Kind::Blob, size);
            out
        };
        assert_eq!(of(0), [0x30]);
        assert_eq!(of(15), [0x3f]);
        assert_eq!(of(16), [0xb0, 0x01]);
        assert_eq!(of(2047), [0xbf, 0x7f]);
        assert_eq!(of(2048), [0xb0, 0x80, 0x01]);
    }

    #[test]
    fn a_pack_is_read_back_whole() {
        let items = [
            (Kind::Blob, b"hello\n".to_vec()),
            (Kind::Tree, Vec::new()),
            (Kind::Blob, vec![b'x'; 5000]),
        ];
        let bytes = pack(&items).expect("memory");
        let dir = tempfile::tempdir().expect("a directory");
        let read = gix_pack::Bundle::write_to_directory(
            &mut std::io::BufReader::new(bytes.as_slice()),
            Some(dir.path()),
            &mut gix_utils::progress::Discard,
            &std::sync::atomic::AtomicBool::new(false),
            None::<gix_odb::HandleArc>,
            gix_hash::Kind::Sha1,
            gix_pack::bundle::write::Options::default(),
        );
        assert_eq!(read.expect("a sound pack").index.num_objects, 3);
    }
}
