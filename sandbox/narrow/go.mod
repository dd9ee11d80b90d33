module github.com/intraverse/dcv-sessions/sandbox/narrow

go 1.26.0

toolchain go1.26.8
