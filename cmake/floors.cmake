# klx_floor(NAME DIR PUBLIC … PRIVATE …): the static library of all .c files under DIR but main.c.
# Adding a module is adding a file. A folder without sources yet is an interface library, so that the floors above can name it.
function(klx_floor name dir)
    cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${dir}/*.c)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    if(sources)
        add_library(${name} STATIC ${sources})
        target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
    else()
        add_library(${name} INTERFACE)
        target_link_libraries(${name} INTERFACE ${ARG_PUBLIC})
    endif()
endfunction()

# What a user runs, without the tests.
add_custom_target(programs)

# klx_program(NAME DIR LIBRARY): DIR/main.c, when it is there.
function(klx_program name dir library)
    if(EXISTS ${PROJECT_SOURCE_DIR}/${dir}/main.c)
        add_executable(${name} ${dir}/main.c)
        target_link_libraries(${name} PRIVATE ${library})
        add_dependencies(programs ${name})
        string(REGEX REPLACE "^klaxon-sink-.*" "klaxon-sinks" package ${name})
        install(TARGETS ${name} RUNTIME COMPONENT ${package})
    endif()
endfunction()
