# klx_embed(TARGET SYMBOL FILE HEADER): FILE's bytes as `const char SYMBOL[]` and `const size_t SYMBOL_bytes`, which HEADER declares.
# As a script (cmake -DIN=… -DOUT=… -DSYMBOL=… -DHEADER=… -P) it writes that file.
if(CMAKE_SCRIPT_MODE_FILE)
    file(READ ${IN} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
    file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst char ${SYMBOL}[] = {\n${bytes}0\n};\nconst size_t ${SYMBOL}_bytes = sizeof(${SYMBOL}) - 1;\n")
    return()
endif()

function(klx_embed target symbol file header)
    set(out ${PROJECT_BINARY_DIR}/embed/${symbol}.c)
    set(script ${PROJECT_SOURCE_DIR}/cmake/embed.cmake)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DIN=${PROJECT_SOURCE_DIR}/${file} -DOUT=${out} -DSYMBOL=${symbol} -DHEADER=${header} -P ${script}
        DEPENDS ${PROJECT_SOURCE_DIR}/${file} ${script} VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
