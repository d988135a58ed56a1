module prepx.com/tests/mesh/stand_ins

go 1.24.0
