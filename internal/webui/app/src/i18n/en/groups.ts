export default {
  title: 'groups',
}
