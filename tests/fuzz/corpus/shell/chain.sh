cd "a b" && git status | head -n 1; X=1 env -i sh -c 'echo $(date)' >out 2>&1 <<EOF
hi
EOF
