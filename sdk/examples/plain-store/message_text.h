/* message_text.h - what messages.search looks at: the readable text inside a message's parts. */
#ifndef MESSAGE_TEXT_H
#define MESSAGE_TEXT_H
#include "text.h"

/* One query and what it needs to be matched against many messages. Case is ignored for Latin, Greek
 * and Cyrillic letters. */
struct text_query {
  struct text folded;         /* the query */
  struct text decoded, lower; /* of the text that is looked at */
  struct text snippet;        /* the surroundings of the last match */
  int failed;                 /* memory ran out */
};
void text_query_init(struct text_query* query, rai_str words);
void text_query_free(struct text_query* query);

/* Whether a message's parts, a JSON array, hold the query. Looked at: text, output and arguments of
 * tools, names; not encoded data. */
int text_query_match(struct text_query* query, rai_str parts);
#endif
