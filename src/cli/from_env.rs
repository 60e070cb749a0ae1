//! `--from-env`: a dependency for each well-known variable that is set.

use crate::{
    kinds,
    spec::{ConfigError, Declaration, Mistakes, expand::Env},
};

/// The variables in which platforms hand a service its connection strings.
pub const VARIABLES: [&str; 18] = [
    "DATABASE_URL",
    "POSTGRES_URL",
    "POSTGRESQL_URL",
    "MYSQL_URL",
    "MARIADB_URL",
    "MONGODB_URI",
    "MONGODB_URL",
    "MONGO_URL",
    "REDIS_URL",
    "VALKEY_URL",
    "MEMCACHED_URL",
    "NATS_URL",
    "AMQP_URL",
    "RABBITMQ_URL",
    "CLOUDAMQP_URL",
    "KAFKA_URL",
    "ELASTICSEARCH_URL",
    "OPENSEARCH_URL",
];

/// Declares a dependency for each variable, named after it. A variable of a kind that no build
/// knows is a note.
pub fn declared(env: &Env, mistakes: &mut Mistakes, notes: &mut Vec<String>) -> Vec<Declaration> {
    let mut declarations = Vec::new();
    let mut is_wrong = false;
    for variable in VARIABLES {
        match env.var(variable) {
            Ok(Some(value)) if !value.trim().is_empty() => {}
            Ok(_) => continue,
            Err(message) => {
                mistakes.push(ConfigError::new(message).with_dependency(variable));
                is_wrong = true;
                continue;
            }
        }
        let text = format!("{variable}=env:{variable}");
        match Declaration::parse(variable, &text, env) {
            Err(error) => {
                mistakes.push(error);
                is_wrong = true;
            }
            Ok(declaration) => match kinds::find(&declaration.scheme, declaration.rest.raw()) {
                Ok(_) => declarations.push(declaration),
                // Another build would wait for it, so this one must not pass it over.
                Err(message) if kinds::is_left_out(&declaration.scheme) => {
                    mistakes.push(declaration.error(message));
                    is_wrong = true;
                }
                Err(message) => notes.push(format!("{variable} is not waited for: {message}")),
            },
        }
    }
    if declarations.is_empty() && !is_wrong {
        let (first, more) = (VARIABLES[0], "NATS_URL, REDIS_URL ... (see --help)");
        let notes = notes.drain(..).map(|note| format!("; {note}")).collect::<String>();
        mistakes.push(ConfigError::at(
            "--from-env",
            format_args!("nothing to wait for: set one of {first}, {more}{notes}"),
        ));
    }
    declarations
}
