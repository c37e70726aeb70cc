//! Whatever is read as a bundle asks for a bounded amount of memory and is written as it was read. The
//! checksum is not compared here, or nothing else would be reached.
#![no_main]

use auth_format::{Bundle, BundleFile};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = BundleFile::decode(&Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(file.encode(), data);
    if let Ok(bundle) = Bundle::decode(file.body.clone()) {
        assert!(bundle.kdf.memory_kib <= 1024 * 1024);
        assert!(bundle.kdf.passes <= 64 && bundle.kdf.lanes <= 16);
        let written = Bytes::from(bundle.encode());
        assert_eq!(written.len(), file.body.len(), "nothing was dropped");
        assert_eq!(Bundle::decode(written), Ok(bundle));
    }
});
