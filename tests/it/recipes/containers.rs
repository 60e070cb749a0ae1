//! Docker, Compose and Kubernetes.

use super::place::Place;
use super::ready::becomes_its_service_when_all_is_ready;
use super::texts::{entrypoint, in_yaml, read, words, yaml};
use yaml_rust2::Yaml;

const DOCKERFILES: [&str; 2] = ["examples/docker/Dockerfile", "examples/docker/Dockerfile.scratch"];
const MANIFESTS: [&str; 3] = [
    "examples/kubernetes/prefix.yaml",
    "examples/kubernetes/init-container.yaml",
    "examples/kubernetes/migrations.yaml",
];
/// Other files for Compose; `super::sockets` runs them.
const COMPOSED: [&str; 2] = ["examples/compose/health.yaml", "examples/compose/socket.yaml"];

fn place() -> Place {
    Place::new().with_env("DATABASE_URL", "postgres://app:secret@db/app")
}

/// Compose expands every `$` but a doubled one.
#[track_caller]
fn as_compose_expands(words: Vec<String>) -> Vec<String> {
    let expand = |word: String| {
        assert!(!word.replace("$$", "").contains('$'), "Compose would expand {word}");
        word.replace("$$", "$")
    };
    words.into_iter().map(expand).collect()
}

fn compose() -> Vec<Yaml> {
    yaml(&read("examples/compose/compose.yaml"))
}

/// The documents of the whole file, in order.
fn composed() -> Vec<Vec<String>> {
    in_yaml(&compose()[0]).into_iter().map(as_compose_expands).collect()
}

#[test]
fn every_entrypoint_of_a_dockerfile_is_accepted() {
    DOCKERFILES.iter().for_each(|path| place().accepts(&entrypoint(&read(path))));
}

#[test]
fn an_image_from_scratch_has_all_that_its_entrypoint_names() {
    let dockerfile = read("examples/docker/Dockerfile.scratch");
    let (_, scratch) = dockerfile.split_once("FROM scratch").unwrap();
    let copied =
        scratch.lines().filter(|line| line.starts_with("COPY")).collect::<Vec<_>>().join("\n");
    for name in ["afterall", "scheduler", "migrations", "ca-certificates.crt"] {
        assert!(copied.contains(name), "{name} is not copied:\n{copied}");
    }
    assert!(!scratch.contains("\nRUN "), "there is nothing to run in it");
}

#[test]
fn every_service_of_the_compose_file_is_accepted() {
    let all = composed();
    assert_eq!(all.len(), 4, "{all:?}");
    all.iter().for_each(|words| {
        // Its declarations are in its environment.
        if words.len() > 3 {
            place().accepts(words)
        }
    });
}

#[test]
fn the_other_compose_files_are_accepted() {
    for path in COMPOSED {
        let all: Vec<_> = yaml(&read(path)).iter().flat_map(in_yaml).collect();
        assert_eq!(all.len(), 1, "{path}: {all:?}");
        place().accepts(&as_compose_expands(all[0].clone()));
    }
}

#[test]
fn declarations_in_the_environment_of_a_compose_service_are_accepted() {
    let environment = &compose()[0]["services"]["reporter"]["environment"];
    let declared =
        as_compose_expands(vec![environment["AFTERALL_DEPENDENCIES"].as_str().unwrap().to_owned()]);
    let place = place().with_env("AFTERALL_DEPENDENCIES", &declared[0]);
    let timeout = environment["AFTERALL_TIMEOUT"].as_str().unwrap();
    let plan = place.afterall([]).env("AFTERALL_TIMEOUT", timeout).args([
        "--print-plan",
        "--",
        "/bin/true",
    ]);
    plan.run().code(0).stdout_has("scheduler").stdout_has("3m");
}

#[test]
fn every_container_of_the_kubernetes_manifests_is_accepted() {
    for path in MANIFESTS {
        let found: Vec<_> = yaml(&read(path)).iter().flat_map(in_yaml).collect();
        assert!(!found.is_empty(), "{path} starts no afterall");
        found.iter().for_each(|words| place().accepts(words));
    }
}

/// In seconds; the recipes write whole minutes.
fn minutes(words: &[String], option: &str) -> i64 {
    let value = words.iter().find_map(|word| word.strip_prefix(&format!("{option}="))).unwrap();
    value.strip_suffix('m').unwrap().parse::<i64>().unwrap() * 60
}

#[test]
fn the_startup_probe_outlasts_the_longest_wait() {
    for path in ["examples/kubernetes/prefix.yaml", "examples/kubernetes/migrations.yaml"] {
        let documents = yaml(&read(path));
        let is_deployment = |document: &&Yaml| document["kind"].as_str() == Some("Deployment");
        let deployment = documents.iter().find(is_deployment).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let probe = &container["startupProbe"];
        let allowed =
            probe["periodSeconds"].as_i64().unwrap() * probe["failureThreshold"].as_i64().unwrap();
        let args = words(&container["args"]);
        assert!(
            allowed >= minutes(&args, "--deadline") + 60,
            "{path}: a minute is left for the service's own start"
        );
        assert!(minutes(&args, "--deadline") >= minutes(&args, "--timeout"));
    }
    let prefix = read("examples/kubernetes/prefix.yaml");
    assert!(prefix.contains("livenessProbe:"), "without one there would be nothing to hold back");
}

#[test]
fn nothing_that_runs_in_a_container_says_a_secret_in_its_arguments() {
    let dockerfiles = DOCKERFILES.iter().map(|path| entrypoint(&read(path)));
    let manifests = MANIFESTS
        .iter()
        .flat_map(|path| yaml(&read(path)).iter().flat_map(in_yaml).collect::<Vec<_>>());
    for words in dockerfiles.chain(composed()).chain(manifests) {
        for word in words {
            let secret = word.split_once("password=").map(|(_, value)| value.to_owned());
            assert!(secret.is_none_or(|value| value.starts_with("${file:")), "{word}");
        }
    }
}

#[test]
fn each_dockerfile_becomes_its_service_when_the_real_servers_are_ready() {
    becomes_its_service_when_all_is_ready(DOCKERFILES.map(|path| entrypoint(&read(path))));
}

#[test]
fn each_compose_service_starts_when_the_real_servers_are_ready() {
    becomes_its_service_when_all_is_ready(composed().into_iter().filter(|words| words.len() > 3));
}

#[test]
fn each_container_of_the_manifests_starts_when_the_real_servers_are_ready() {
    becomes_its_service_when_all_is_ready(
        MANIFESTS
            .iter()
            .flat_map(|path| yaml(&read(path)).iter().flat_map(in_yaml).collect::<Vec<_>>()),
    );
}
