//! The parts of a release: the crate's files, the archive, the image, and their licences. The
//! scripts of `dist/` get a small file instead of a release binary, whose build takes minutes.

use crate::support::Dir;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const MACHINE: &str = std::env::consts::ARCH;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The script's output; its files are written below `dir`.
#[track_caller]
fn dist(script: &str, dir: &Dir, args: &[&str]) -> String {
    run(Command::new(root().join("dist").join(script))
        .args(args)
        .env("CARGO_TARGET_DIR", dir.path()))
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn stand_in(dir: &Dir) -> String {
    dir.write_script("binary", "#!/bin/sh\necho afterall\n").to_str().unwrap().to_owned()
}

fn names(suffix: &str) -> String {
    format!("afterall-{}-{MACHINE}-linux{suffix}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn the_crate_holds_what_a_build_needs_and_no_more() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let list = run(Command::new(cargo).args(["package", "--list", "--allow-dirty", "--offline"]));
    let listed: BTreeSet<&str> = list.lines().collect();
    for name in ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "CHANGELOG.md"]
        .into_iter()
        .chain(["src/main.rs", "man/afterall.1", "completions/afterall.bash"])
    {
        assert!(listed.contains(name), "the crate lacks {name}");
    }
    let known = ["Cargo.toml.orig", ".cargo_vcs_info.json", "LICENSE", "README.md", "CHANGELOG.md"];
    let other = listed.iter().find(|name| {
        let in_a_room =
            ["src/", "man/", "completions/", "Cargo."].iter().any(|room| name.starts_with(room));
        !in_a_room && !known.contains(name)
    });
    assert_eq!(other, None, "the crate holds a file that no user needs");
}

#[test]
fn the_archive_holds_every_file_and_repeats() {
    let (first, again) = (Dir::new(), Dir::new());
    let binary = stand_in(&first);
    for dir in [&first, &again] {
        dist("archive", dir, &[&binary, MACHINE]);
    }
    let archive = |dir: &Dir| dir.join("dist").join(names(".tar.gz"));
    assert!(
        fs::read(archive(&first)).unwrap() == fs::read(archive(&again)).unwrap(),
        "two archives of the same files differ"
    );
    let unpacked = first.mkdir("unpacked");
    run(Command::new("tar").arg("-xf").arg(archive(&first)).arg("-C").arg(&unpacked));
    let inside = unpacked.join(names(""));
    for name in [
        "afterall",
        "afterall.1",
        "completions/_afterall",
        "completions/afterall.bash",
        "completions/afterall.fish",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "docs/reference.md",
        "examples/README.md",
        "LICENSES/LGPL-2.1.txt",
        "LICENSES/crates.txt",
        "LICENSES/glibc.txt",
        "LICENSES/libgcc.txt",
        "LICENSES/rust-standard-library.html",
    ] {
        let size = fs::metadata(inside.join(name)).map(|file| file.len());
        assert!(size.is_ok_and(|size| size > 0), "the archive lacks {name}");
    }
    let crates = fs::read_to_string(inside.join("LICENSES/crates.txt")).unwrap();
    for name in ["tokio 1.", "rustls 0.", "ring 0."] {
        let line = crates.lines().any(|line| line.starts_with(name));
        assert!(line, "the licences lack {name}");
    }
    assert!(crates.contains("Permission is hereby granted, free of charge"));
    assert!(!crates.contains("tokio-postgres"), "a crate of the tests is not in the binary");
}

#[test]
fn the_image_holds_one_program_with_its_licences_and_repeats() {
    let (first, again) = (Dir::new(), Dir::new());
    let binary = stand_in(&first);
    let digest = dist("image", &first, &[&binary, MACHINE]);
    assert_eq!(digest, dist("image", &again, &[&binary, MACHINE]));
    let unpacked = first.mkdir("unpacked");
    let archive = first.join("dist").join(names(".oci.tar"));
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked));
    let blob = |digest: &str| unpacked.join("blobs").join(digest.trim().replace(':', "/"));
    let json = |path: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(json(&unpacked.join("index.json"))["manifests"][0]["digest"], digest.trim());
    let manifest = json(&blob(&digest));
    for descriptor in [&manifest["config"], &manifest["layers"][0], &manifest["layers"][1]] {
        let digest = descriptor["digest"].as_str().unwrap();
        let sum = run(Command::new("sha256sum").arg(blob(digest)));
        assert_eq!(format!("sha256:{}", &sum[..64]), digest);
    }
    let config = json(&blob(manifest["config"]["digest"].as_str().unwrap()));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/afterall"]));
    let files = |layer: &serde_json::Value| {
        let layer = blob(layer["digest"].as_str().unwrap());
        run(Command::new("tar").arg("-tzvf").arg(layer))
    };
    let licences = files(&manifest["layers"][1]);
    assert!(licences.contains(" LICENSES/crates.txt\n"), "{licences}");
    let files = files(&manifest["layers"][0]);
    assert_eq!(files.lines().count(), 1, "{files}");
    assert!(files.starts_with("-rwxr-xr-x") && files.ends_with(" afterall\n"), "{files}");
}

#[test]
fn binstall_looks_for_the_archive_that_is_made() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let value = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.unwrap_or_else(|| panic!("Cargo.toml has no {key}"))
            .trim_end_matches('"')
            .replace("{ name }", env!("CARGO_PKG_NAME"))
            .replace("{ version }", env!("CARGO_PKG_VERSION"))
            .replace("{ target-arch }", MACHINE)
            .replace("{ bin }", "afterall")
    };
    assert!(value("pkg-url").ends_with(&format!("/{}", names(".tar.gz"))));
    assert_eq!(value("bin-dir"), names("/afterall"));
}
