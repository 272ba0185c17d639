// The working part of shell_command.cpp and shell_word.cpp; nobody else includes it.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shell_command.hpp"
#include "shell_programs.hpp"

namespace rustic::permission::detail {

struct parsed_word {
  std::string text;
  bool quoted = false;          // some part was quoted
  bool expands = false;         // a part is only known when the shell runs
  std::size_t plain_bytes = 0;  // leading bytes that were written without any quote
};

enum class list_end { text, parenthesis, brace };

// Reads one text. Texts inside it (here-documents, sh -c) get a parser of their own on the same
// result.
class parser {
 public:
  // input_given: what encloses the text is fed by a pipe, a file or a here-document.
  parser(std::string_view text, shell_command& out, int depth, bool input_given = false)
      : text_(text), out_(out), depth_(depth), input_given_(input_given) {}
  void parse_all();
  // The text as the inside of double quotes: only its substitutions are looked at.
  void parse_quoted_text();

 private:
  struct here_document {
    std::string end;
    bool quoted = false;
    bool strip_tabs = false;
  };

  void fail(std::string reason);
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void parse_list(list_end end);
  bool parse_command(list_end end);
  void skip_time_options();
  void skip_words();
  // True when it gives the command an input.
  bool parse_redirection();
  void read_here_document_start();
  void finish_here_documents();
  void note_text(std::string_view text);
  void add_command(std::vector<std::string> argv, std::vector<bool> known,
                   std::vector<std::string> env, bool reads_input);
  void check_program(const std::string& name, program_kind kind, const simple_command::form& form,
                     bool reads_input);
  void parse_inner(std::string_view text, bool input_given);

  // shell_word.cpp
  void skip_blanks();
  parsed_word read_word();
  void read_single_quoted(parsed_word& word);
  void read_double_quoted(parsed_word& word);
  void read_escaped_text(parsed_word& word);
  void read_dollar(parsed_word& word, bool in_quotes);
  void read_parameter(parsed_word& word);
  void read_backticks(parsed_word& word);

  std::string_view text_;
  shell_command& out_;
  int depth_;
  bool input_given_;
  bool after_pipe_ = false;
  std::size_t at_ = 0;
  std::size_t words_read_ = 0;
  std::vector<here_document> here_documents_;
};

}  // namespace rustic::permission::detail
