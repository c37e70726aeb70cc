//! Whatever is read as a sealed record is written as it was read.
#![no_main]

use auth_format::SealedRecord;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(record) = SealedRecord::decode(bytes.clone()) {
        let written = record.encode();
        assert_eq!(written.len(), bytes.len(), "nothing was dropped");
        assert_eq!(SealedRecord::decode(written), Ok(record));
    }
});
