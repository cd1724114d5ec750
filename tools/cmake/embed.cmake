# m3bsr_embed(<target> <folder> [<pattern>]): what lies in <folder>, or those files whose names match the regular
# expression, becomes part of <target>. A source includes "FOLDER.inc", named
# after the folder, inside an initialiser: a row for each file, sorted by name, whose text ends with a NUL:
#   {"expert/plugin.c", (const unsigned char[]){0x2f, ..., 0}},
function(m3bsr_embed target folder)
  set(pattern ".")
  if(ARGC GREATER 2)
    set(pattern "${ARGV2}")
  endif()
  get_filename_component(name ${folder} NAME)
  set(out ${PROJECT_BINARY_DIR}/embedded/${name}.inc)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*)
  list(FILTER files INCLUDE REGEX "${pattern}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${PROJECT_SOURCE_DIR}/${folder} -DPATTERN=${pattern} -DOUT=${out} -P ${PROJECT_SOURCE_DIR}/tools/cmake/embed.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/tools/cmake/embed.cmake VERBATIM)
  target_sources(${target} PRIVATE ${out})
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/embedded)
endfunction()

# The step of the build: this file again, as a script.
if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB_RECURSE names RELATIVE ${FOLDER} ${FOLDER}/*)
  list(FILTER names INCLUDE REGEX "${PATTERN}")
  list(SORT names)
  set(rows "")
  foreach(name IN LISTS names)
    file(READ ${FOLDER}/${name} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1, " bytes "${bytes}")
    string(APPEND rows "{\"${name}\", (const unsigned char[]){${bytes}0}},\n")
  endforeach()
  file(WRITE ${OUT} "${rows}")
endif()
