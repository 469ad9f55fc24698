#!/bin/sh
# Ends a process group when the process ends that started this: `guard.sh guard-process-group GROUP`, as
# chat-target starts guards. Nobody writes to its standard input, so it waits for the end.
read -r _
kill -s KILL -- "-$2"
