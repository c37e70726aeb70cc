//! Compiles the sealed record's envelope without needing a `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const FILE: &str = "../proto/sealed_record.proto";
    println!("cargo::rerun-if-changed={FILE}");
    let descriptors = protox::compile([FILE], ["../proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
