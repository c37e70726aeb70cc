//! Compiles the schemas in `proto/` without needing a `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const ROOT: &str = "../../proto";
    const FILES: [&str; 1] = ["sealed_record.proto"];
    for file in FILES {
        println!("cargo::rerun-if-changed={ROOT}/{file}");
    }
    let descriptors = protox::compile(FILES, [ROOT])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
