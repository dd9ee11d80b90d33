module github.com/intraverse/dcv-sessions/sandbox

go 1.26.0

toolchain go1.26.8

require github.com/intraverse/dcv-sessions v0.0.0

replace github.com/intraverse/dcv-sessions => ..
