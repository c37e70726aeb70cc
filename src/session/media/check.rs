//! A reader and a writer that count and hash what passes, and keep the error that stopped them:
//! the decryption between them reports every failure alike.

use std::io::{self, Read, Write};

use ring::digest::{Context, SHA256};

/// A SHA-256.
pub(super) type Digest = [u8; 32];

/// The count and hash of a stream.
struct Tally {
    hash: Context,
    bytes: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            hash: Context::new(&SHA256),
            bytes: 0,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn digest(&self) -> Digest {
        let digest = self.hash.clone().finish();
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// Why reading stopped early.
pub(super) enum ReadFailure {
    /// There is more than there may be.
    TooLong,
    /// The source failed.
    Source(io::Error),
}

/// Reads at most `limit` bytes from a source.
pub(super) struct CheckedReader<R> {
    source: R,
    limit: u64,
    tally: Tally,
    failure: Option<ReadFailure>,
}

impl<R> CheckedReader<R> {
    pub(super) fn new(source: R, limit: u64) -> Self {
        Self {
            source,
            limit,
            tally: Tally::new(),
            failure: None,
        }
    }

    /// The SHA-256 of what was read, and what stopped the reading.
    pub(super) fn finish(self) -> Result<Digest, ReadFailure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.tally.digest()),
        }
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buf) {
            Ok(n) => {
                self.tally.add(&buf[..n]);
                if self.tally.bytes > self.limit {
                    self.failure = Some(ReadFailure::TooLong);
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let kind = e.kind();
                self.failure = Some(ReadFailure::Source(e));
                Err(kind.into())
            }
        }
    }
}

/// Writes to a sink.
pub(super) struct CheckedWriter<W> {
    sink: W,
    tally: Tally,
    failure: Option<io::Error>,
}

impl<W> CheckedWriter<W> {
    pub(super) fn new(sink: W) -> Self {
        Self {
            sink,
            tally: Tally::new(),
            failure: None,
        }
    }

    /// The sink, with size and SHA-256 of what was written, and what stopped the writing.
    pub(super) fn finish(self) -> io::Result<(W, u64, Digest)> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok((self.sink, self.tally.bytes, self.tally.digest())),
        }
    }
}

impl<W: Write> Write for CheckedWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.sink.write(buf) {
            Ok(n) => {
                self.tally.add(&buf[..n]);
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let kind = e.kind();
                self.failure = Some(e);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
