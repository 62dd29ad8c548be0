#!/usr/bin/env bash
# Prints the default training text as JSONL, one book per line: {"name": "Ge", "text": "..."}.
# The text is the King James Bible from the Debian packages bible-kjv and bible-kjv-text: 66 books,
# 4.1 MB. Verses are lines, and an empty line separates chapters. The labels ("Ge1:1") are left out:
# they are 6 % of the bytes, and would be noise in what a model writes.
#
#   scripts/default_text.sh > text.jsonl && birkhoff data prepare --jsonl --out data/text text.jsonl
set -euo pipefail

if ! command -v bible > /dev/null; then
  echo "default_text.sh: no command 'bible'; run: apt-get install bible-kjv bible-kjv-text" >&2
  exit 3
fi

bible -f gen1:1-rev22:21 < /dev/null | awk '
  function fail(why) {
    print "default_text.sh: " why "; install the Debian package bible-kjv" > "/dev/stderr"
    failed = 1
    exit 3
  }
  function finish() {
    if (name == "") return
    gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text)
    gsub(/\n/, "\\n", text)
    printf "{\"name\": \"%s\", \"text\": \"%s\"}\n", name, text
    books++
  }
  {
    # "1Sm3:10 And the LORD came, ..."
    if (!match($1, /[0-9]+:[0-9]+$/) || RSTART < 2) fail("line " NR " has no verse label: " $0)
    book = substr($1, 1, RSTART - 1)
    chapter = substr($1, RSTART) + 0
    verse = substr($0, length($1) + 2)
    sub(/ +$/, "", verse)
    if (book !~ /^[1-3]?[A-Za-z]+$/) fail("line " NR " is not from a known book: " $0)
    if (book != name) {
      finish()
      name = book; text = verse
    } else {
      text = text (chapter == last ? "\n" : "\n\n") verse
    }
    last = chapter
  }
  END {
    if (failed) exit 3
    finish()
    if (books != 66 || NR < 31000)
      fail("found " NR " verses in " books + 0 " books, not 31102 in 66")
  }'
