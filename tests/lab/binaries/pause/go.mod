module tunegate.io/tests/lab/binaries/pause

go 1.26.0
