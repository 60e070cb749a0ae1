//! Readers of directories whose file names are not enough: one file for each tool that needs code.

pub(super) mod alembic;
pub(super) mod atlas;
pub(super) mod django;
pub(super) mod doctrine;
pub(super) mod drizzle;
pub(super) mod efcore;
pub(super) mod flyway;
pub(super) mod graphile;
pub(super) mod liquibase;
pub(super) mod python;
pub(super) mod sequel;
pub(super) mod source;
pub(super) mod sqitch;
pub(super) mod typeorm;
