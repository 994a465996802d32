// Turns the server's JSON facts into text for people: one object as `key  value` lines, a list of
// objects as a table. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::server {

// RenderJson returns `json` itself plus a newline when it is not an object or a list.
// What terminals obey is taken out of every text.
std::string RenderJson(std::string_view json);

// Indented is each line of `text`, made printable, behind two spaces.
std::string Indented(std::string_view text);

}  // namespace sallyport::server
