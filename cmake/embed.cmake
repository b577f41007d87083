# klx_embed(TARGET SYMBOL FILES HEADER): the bytes of FILES (a file, or a glob: one after the other by name) as `const char SYMBOL[]` and `const size_t SYMBOL_bytes`, which HEADER declares.
# As a script (cmake -DIN=… -DOUT=… -DSYMBOL=… -DHEADER=… -P) it writes that file.
if(CMAKE_SCRIPT_MODE_FILE)
    set(hex "")
    file(GLOB files ${IN})
    list(SORT files)
    foreach(file ${files})
        file(READ ${file} one HEX)
        string(APPEND hex ${one})
    endforeach()
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}") # a character: 0xe2 would be too large for one
    file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst char ${SYMBOL}[] = {\n${bytes}0\n};\nconst size_t ${SYMBOL}_bytes = sizeof(${SYMBOL}) - 1;\n")
    return()
endif()

function(klx_embed target symbol files header)
    set(out ${PROJECT_BINARY_DIR}/embed/${symbol}.c)
    file(GLOB depends CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${files})
    set(script ${PROJECT_SOURCE_DIR}/cmake/embed.cmake)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DIN=${PROJECT_SOURCE_DIR}/${files} -DOUT=${out} -DSYMBOL=${symbol} -DHEADER=${header} -P ${script}
        DEPENDS ${depends} ${script} VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
