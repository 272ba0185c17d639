// schema.hpp - the tables, as a sequence of migrations: a fresh file runs all of them, an old one
// the rest.
#pragma once
#include <cstdint>

#include "database.hpp"

namespace rustic::storage {

// The newest version that this program knows; PRAGMA user_version of every file it wrote.
std::int64_t schema_version() noexcept;

// True for a file without any table. Throws failure(FAILED_PRECONDITION), having changed nothing,
// when
// a newer program wrote it or when it is not ours.
bool is_fresh(connection& database, const std::string& path);
// Brings a file that is_fresh let pass to schema_version, in one transaction. The caller holds the
// lock.
void migrate(connection& database);
}  // namespace rustic::storage
