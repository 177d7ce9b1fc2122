# Turns file IN into a C header OUT with `static const char SYMBOL[]` and `SYMBOL_size`.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "static const char ${SYMBOL}[] = {\n${bytes}0};\nenum { ${SYMBOL}_size = sizeof ${SYMBOL} - 1 };\n")
