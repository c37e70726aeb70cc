//! Compiles the schemas in `proto/` without needing a `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const ROOT: &str = "../../proto";
    const FILES: [&str; 2] = ["sealed_record.proto", "export_bundle.proto"];
    for file in FILES {
        println!("cargo::rerun-if-changed={ROOT}/{file}");
    }
    let descriptors = protox::compile(FILES, [ROOT])?;
    prost_build::Config::new()
        .bytes([
            ".whatsapp_worker.auth.v1.SealedRecord",
            ".whatsapp_worker.auth.v1.ExportBundle",
            ".whatsapp_worker.auth.v1.Argon2id",
        ])
        // They hold keys.
        .skip_debug([
            ".whatsapp_worker.auth.v1.ExportContents",
            ".whatsapp_worker.auth.v1.ExportRecord",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
