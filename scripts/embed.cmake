# Turns file IN into a C header OUT with the text SYMBOL and its size SYMBOL_size.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "static const unsigned char ${SYMBOL}_bytes[] = {\n${bytes}0};\n"
  "enum { ${SYMBOL}_size = sizeof ${SYMBOL}_bytes - 1 };\n"
  "#define ${SYMBOL} ((const char *)${SYMBOL}_bytes)\n")
