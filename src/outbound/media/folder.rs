//! Files named by path: beneath `MEDIA_DIR`, and nowhere else.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncReadExt;

use super::{Accepting, MediaProblem};
use crate::outbound::media::kind;
use crate::outbound::message::MediaRef;
use crate::store::Upload;

const READ: usize = 64 << 10;

/// Says the same of what is elsewhere and of what is not there: who asks must not learn which.
const NONE: MediaProblem = MediaProblem::Path("there is no such file beneath MEDIA_DIR");

pub(super) async fn read(
    path: &str,
    media: &MediaRef,
    kind: &'static str,
    accepting: &Accepting,
) -> Result<Upload, MediaProblem> {
    let Some(dir) = &accepting.limits.dir else {
        return Err(MediaProblem::Path(
            "files cannot be named by path: MEDIA_DIR is not set",
        ));
    };
    let path = find(dir, Path::new(path)).await?;
    let file = open(&path).await?;
    let name = path.file_name().and_then(|name| name.to_str());
    if media.mime_type.is_none() {
        kind::fitting(&kind::of(None, name), kind)?;
    }
    let body = stream::try_unfold(file, |mut file: File| async move {
        let mut bytes = vec![0; READ];
        let n = file.read(&mut bytes).await?;
        bytes.truncate(n);
        Ok::<_, std::io::Error>((n > 0).then(|| (Bytes::from(bytes), file)))
    });
    accepting.take_in(body, None, name).await
}

/// Where it really is, all links followed.
async fn find(dir: &Path, path: &Path) -> Result<PathBuf, MediaProblem> {
    let (Ok(dir), Ok(file)) = (
        tokio::fs::canonicalize(dir).await,
        tokio::fs::canonicalize(dir.join(path)).await,
    ) else {
        return Err(NONE);
    };
    match file.starts_with(&dir) {
        true => Ok(file),
        false => Err(NONE),
    }
}

/// A link put in its place meanwhile is not followed, a pipe does not hold us up.
async fn open(path: &Path) -> Result<File, MediaProblem> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(|_| NONE)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let file = options.open(path).await.map_err(|_| NONE)?;
    match file.metadata().await {
        Ok(metadata) if metadata.is_file() => Ok(file),
        _ => Err(NONE),
    }
}
