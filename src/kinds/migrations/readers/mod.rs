//! Directories that a file name alone does not explain: one file for each tool that needs code.

pub mod alembic;
pub mod atlas;
pub mod django;
pub mod doctrine;
pub mod drizzle;
pub mod efcore;
pub mod flyway;
pub mod graphile;
pub mod liquibase;
pub mod python;
pub mod sequel;
pub mod source;
pub mod sqitch;
pub mod typeorm;
